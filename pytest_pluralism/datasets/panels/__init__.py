"""Panels: jurors, and what they said of responses."""
