"""When a resource is open and what occupies it: opening hours, closures, external calendars, claims."""
