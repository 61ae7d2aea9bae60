"""pytest-pluralism: pluralism regression tests of language models.

The names below are for notebooks and scripts, and load when they are first used: the plugin needs none of them.
"""

from __future__ import annotations

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
