"""What `docs/generate.py` makes, one module for each page or group of files."""
