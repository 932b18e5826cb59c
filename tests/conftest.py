"""Fixtures for every level of the suite; what they are is in tests/support."""

pytest_plugins = ["tests.support.servers", "tests.support.processes", "tests.support.receiver"]
