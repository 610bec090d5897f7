"""Announced maintenance of clusters: when one takes no jobs, and which jobs would run into it."""
