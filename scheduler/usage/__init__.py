"""Metered use: instrument sessions and job accounting. Measured here, never priced."""
