"""Floor 4: was it the box. Pure functions: no I/O, no clock."""
