"""The agent: an optional process beside the cluster for what REST cannot do. Never in web or worker.

Standard library and `cryptography` only; Slurm through its command-line tools (docs/adr/0015).
"""
