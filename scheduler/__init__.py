"""Who gets which resource, when: instruments and clusters, bookings and jobs."""
