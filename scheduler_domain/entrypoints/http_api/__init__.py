"""The HTTP API: one folder per resource with its routes and payloads, and what all of them share beside them."""
