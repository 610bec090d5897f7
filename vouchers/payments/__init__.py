"""The payer's own share: owed, declared as transferred, confirmed by finance."""
