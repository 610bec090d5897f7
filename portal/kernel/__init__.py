"""The pure kernel: values and errors every capability shares. No Django, no clock, no I/O."""
