"""How much computing an enterprise was granted: card-hours and cards at once, by programme, partition and period."""
