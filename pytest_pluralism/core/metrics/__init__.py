"""Every measure of the package: pure functions on arrays.

Names load when they are first used, so that one measure does not import the needs of all.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
