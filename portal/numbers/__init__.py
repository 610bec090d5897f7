"""Human-readable numbers: one for every thing somebody may quote on the phone."""
