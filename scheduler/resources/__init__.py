"""What can be shared: instruments, clusters, partitions; publishing; rates and their price."""
