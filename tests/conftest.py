"""Fixtures for every level of the suite; what they are is in tests/support."""

import pytest

pytest_plugins = ["tests.support.servers", "tests.support.processes", "tests.support.receiver"]

OF_PROCESSES = "acceptance"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of whole processes go through one worker: side by side they would take each other's processor."""
    for item in items:
        if OF_PROCESSES in item.path.parts:
            item.add_marker(pytest.mark.xdist_group(OF_PROCESSES))
