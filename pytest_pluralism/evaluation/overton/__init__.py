"""Overton pluralism: the share of a window of reasonable answers that responses cover."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
