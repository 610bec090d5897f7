"""Examine a Slurm cluster before the portal relies on it: settings, accounts, tokens, directories.

`gather` asks, `examine` judges: the checks are pure functions over a `Snapshot`, so each can be shown to fail.
"""
