"""Baselines: our own stored past results, one file a model."""
