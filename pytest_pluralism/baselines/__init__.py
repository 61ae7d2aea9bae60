"""Baselines: our own stored past results, one file a model."""

__all__ = ["DEFAULT_PLACE", "UPDATES"]

#: Where baselines lie unless somebody says otherwise: a folder meant for git.
DEFAULT_PLACE = "pluralism-baselines"

#: How a baseline can be updated: every entry that was measured, only those that are not there, or those that improved.
UPDATES = ("all", "new", "better")
