"""Long runs of the engine against the brute-force oracle (`python -m tests.fuzz --minutes 5`); pytest skips it."""
