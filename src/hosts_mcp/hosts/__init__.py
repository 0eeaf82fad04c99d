"""Floor 4: which machine something belongs to, how it is doing, what is wrong with it. Pure functions."""
