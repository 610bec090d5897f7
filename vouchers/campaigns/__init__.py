"""Campaigns: many organisations that need not apply are given vouchers at once, in batches that can be resumed."""
