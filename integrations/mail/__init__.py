"""Mail, as the domain's ports ask for it."""
