"""Who may run what, judged at the time of the use: operators and their skills, qualified organisations, certificates."""
