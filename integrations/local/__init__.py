"""A working cluster on this one host: a spool, a runner that starts jobs and one shim per run. Standard library only."""
