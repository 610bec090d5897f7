"""The catalogue of applications: scripts with typed parameters that enterprises fill in and submit."""
