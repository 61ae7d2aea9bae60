"""Overton windows: queries, and the reasonable answers to each."""
