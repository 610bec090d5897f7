"""Slurm through slurmrestd: tokens, the wire, the v0.0.38 codec, and the port's answers made from them."""
