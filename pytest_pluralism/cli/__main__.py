"""``python -m pytest_pluralism.cli``."""

import sys

from pytest_pluralism.cli import main

sys.exit(main())
