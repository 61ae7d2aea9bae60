"""The suite ``parties``; see :mod:`pytest_pluralism.suites`."""
