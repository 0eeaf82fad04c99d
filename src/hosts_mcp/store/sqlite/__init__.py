"""The SQLite backend: one file, one writer, many readers."""
