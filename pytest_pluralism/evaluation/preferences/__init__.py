"""Rewards and judges of preference pairs, by group of people and by persona."""
