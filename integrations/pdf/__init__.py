"""Pages of PDF files, counted by pypdf (BSD-3-Clause)."""
