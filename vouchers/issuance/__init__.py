"""Application → review → approval → voucher."""
