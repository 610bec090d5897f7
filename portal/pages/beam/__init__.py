"""Pages of large science facilities, by subject."""
