"""What the use cases need of the outside world: one small protocol a file, spoken in batches."""
