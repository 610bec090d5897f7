"""Claims: what a voucher or an award pays out, from filing over check and audit to the payment run."""
