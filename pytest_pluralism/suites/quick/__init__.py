"""The suite ``quick``; see :mod:`pytest_pluralism.suites`."""
