"""Preference pairs of people: which of two responses somebody prefers."""
