"""The local side: everything that touches the user's files."""
