"""Juries: the welfare that responses give a jury of diverse people."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
