"""Statistics of scores: intervals, comparisons, several promises at once, and how many units a promise needs.

The names load when they are first used (PEP 562), so that importing the package costs no scipy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
