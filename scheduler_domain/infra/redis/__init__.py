"""Redis or Valkey, optional: whatever it does, nothing but load changes."""
