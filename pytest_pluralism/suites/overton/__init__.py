"""The suite ``overton``; see :mod:`pytest_pluralism.suites`."""
