"""HTML for people: one module per subject, templates in ``portal/templates``."""
