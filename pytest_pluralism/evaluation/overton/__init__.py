"""Overton pluralism: how much of a window of reasonable answers responses cover."""
