"""When a resource is open and what occupies it: opening hours, closures, claims."""
