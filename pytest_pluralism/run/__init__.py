"""One run of pytest: its models, its answers, its verdicts, its baselines and its workers."""
