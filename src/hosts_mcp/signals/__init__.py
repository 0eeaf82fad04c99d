"""Floor 2: what OpenTelemetry's host metrics mean: one catalogue, and counters to rates."""
