"""The pure core: the lifecycle, what a record knows, and what is decided from it."""
