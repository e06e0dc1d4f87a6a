"""The project's own Lightning callbacks, one in each file."""
