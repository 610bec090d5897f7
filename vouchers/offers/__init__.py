"""What a voucher buys beside bookings and jobs: offers with price lists, orders, delivery, acceptance, usage lines."""
