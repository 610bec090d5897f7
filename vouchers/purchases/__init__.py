"""What an enterprise bought and how each of it stands: price, who paid, what is due, what went back, receipt and fapiao."""
