"""Files for jobs: uploads in pieces that survive a broken line, secrets kept encrypted, both staged before the start."""
