"""Floor 1: OpenTelemetry bytes in, acknowledgement out. Nothing above this floor sees protobuf."""
