"""What happens to bookings when an instrument fails: sessions end as measured, the rest is offered other time or its money."""
