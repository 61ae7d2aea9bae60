"""Settings: the table of all of them, and where the value of each comes from."""
