"""What tests stand on: real servers, real processes, a recording receiver, and waiting without sleeping.

servers.py     PostgreSQL, NATS and Valkey for the session, and an empty place in each for the test
processes.py   `scheduler …` as a process of its own, with its log
receiver.py    an HTTP endpoint that records what it gets and answers as it is told
waiting.py     wait for an observed condition, with a deadline
"""
