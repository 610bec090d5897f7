"""The double-entry ledger: accounts, transfers, two-phase holds. The only writer of value."""
