"""Fixtures that more than one directory of tests needs."""

pytest_plugins = ["tests.support.kafka", "tests.support.triton"]
