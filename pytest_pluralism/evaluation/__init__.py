"""Evaluations: a dataset and a model in, scores out.

Each is two pure halves with the engine between them: what must be asked, and what the answers mean.
"""
