"""Controls: what data can see of misuse. Each raises a flag with the facts side by side; none refuses anything."""
