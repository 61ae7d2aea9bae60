"""Steerable pluralism: how faithfully a model represents a value or a group when asked to."""
