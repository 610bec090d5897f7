"""Evidence: files kept with a case, recognised by their content, never served as a page."""
