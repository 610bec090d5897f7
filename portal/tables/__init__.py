"""Tables that people upload: xlsx or CSV, read cell by cell, every fault named by row and column."""
