"""Juries: the welfare that responses give a jury of diverse people."""
