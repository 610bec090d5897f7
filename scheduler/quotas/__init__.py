"""How much of a lab's time one enterprise or person may have: limits a lab sets for one instrument or several together."""
