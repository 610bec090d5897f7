"""Who may run what: operators of a lab and their skills."""
