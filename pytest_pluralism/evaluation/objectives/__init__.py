"""Several objectives at once: Pareto improvements and trade-offs."""
