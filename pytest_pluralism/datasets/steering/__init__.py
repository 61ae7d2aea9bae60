"""Steering sets: values and groups, and the answers that represent them."""
