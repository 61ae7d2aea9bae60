"""The pure core: measures, statistics and verdicts on arrays and records.

It needs numpy, scipy, moocore, lazy_loader and the standard library; no torch, pytest, files, clock or environment.
Names load when they are first used, so that importing the records costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
