"""Pay providers what was captured: batches, four eyes, export."""
