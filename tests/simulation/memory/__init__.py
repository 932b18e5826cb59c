"""The store in memory: the ports of a dispatcher and of the API's writes, without a database.

Each is held to PostgreSQL by the suite of its port in tests/contract. A statement is one moment, all or nothing; what
PostgreSQL's read committed level lets happen within one is imitated where it matters (a claim reads schedules by its
snapshot and rows by their newest version). Deadlocks, time limits and planning of statements are not.
"""
