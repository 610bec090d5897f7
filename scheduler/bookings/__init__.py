"""Bookings: request → confirm → use → measured; overlap is refused by the database."""
