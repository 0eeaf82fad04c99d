"""Floor 3: what is kept, and the few questions a backend answers."""
