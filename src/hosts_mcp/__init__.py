"""hosts-mcp: joins OpenTelemetry traces and host metrics on one trace id and answers *was it the box?*"""

__version__ = "0.1.0"
