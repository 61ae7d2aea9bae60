"""The suite ``surveys``; see :mod:`pytest_pluralism.suites`."""
