"""Baselines: our own stored past results, one file a model."""

__all__ = ["DEFAULT_PLACE", "UPDATES"]

#: The default place of baselines: a folder meant for git.
DEFAULT_PLACE = "pluralism-baselines"

#: The ways to update a baseline: every entry that was measured, only those that are not there, or those that improved.
UPDATES = ("all", "new", "better")
