"""JSON Schema, judged by the library jsonschema."""
