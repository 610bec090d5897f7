"""A believable, fictional province for newcomers: people, instruments, clusters, programmes and some weeks of use."""
