"""What others say of our money against what we say: gateways day by day, what is open, months closed with their figures."""
