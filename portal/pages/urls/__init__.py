"""Addresses of the pages, one module per area."""
