"""What a schedule means: values and pure rules. No I/O, clock, randomness, logging or asyncio in here."""
