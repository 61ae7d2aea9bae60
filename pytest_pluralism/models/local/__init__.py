"""Models that run in this process, through transformers. The only room that imports torch."""
