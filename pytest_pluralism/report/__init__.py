"""Reports: verdicts in, text out. Nothing here decides anything."""
