"""Errors, files, locks, processes, the terminal: code that knows nothing of the project."""
