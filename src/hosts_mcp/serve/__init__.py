"""Floor 6: how somebody asks; no knowledge of its own."""
