"""Baselines: our own stored past results, one file a model."""

__all__ = ["DEFAULT_PLACE"]

#: Where baselines lie unless somebody says otherwise: a folder meant for git.
DEFAULT_PLACE = "pluralism-baselines"
