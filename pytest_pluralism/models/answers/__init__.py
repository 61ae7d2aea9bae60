"""The answer store: what models answered, kept by content."""
