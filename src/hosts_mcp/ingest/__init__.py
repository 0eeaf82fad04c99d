"""Floor 5: the way in put together: bytes to commit, and the work behind it."""
