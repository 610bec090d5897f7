"""The operator's bank account: statements, what each line of them is, and money that belongs to nothing yet."""
