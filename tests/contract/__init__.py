"""One suite a port, run against PostgreSQL and against the memory that simulations run on: do they agree?"""
