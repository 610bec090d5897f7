"""Public notices of decided cases, objections to them, and what follows when the period is over."""
