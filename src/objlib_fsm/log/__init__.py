"""The event log: the only truth, in one SQLite file."""
