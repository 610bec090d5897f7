"""Split a price into voucher share and own share; hold, capture, release."""
