"""The shell: it performs what ``core`` decides, and appends what became of it."""
