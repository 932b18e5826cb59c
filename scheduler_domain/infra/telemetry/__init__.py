"""What can be seen of a running process: structured logs, Prometheus metrics, OpenTelemetry traces."""
