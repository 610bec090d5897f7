"""Reports: what the records add up to. Reads only; every figure says how it is computed."""
