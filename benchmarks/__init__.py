"""Figures that are published; `make bench` prints them all. Each file says what it measures and how."""
