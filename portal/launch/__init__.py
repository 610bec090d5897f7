"""Bring the portal up on one machine and keep it up: `python -m portal.launch --help`.

Runs before anything is installed, so its modules use the standard library only. The exceptions run inside the
environment it builds: `serve` (one web process), `prepare` (the steps before the first page), `messages` and
`translations` (the English catalogue).
"""
