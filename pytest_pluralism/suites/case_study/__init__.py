"""The suite ``case_study``; see :mod:`pytest_pluralism.suites`."""
