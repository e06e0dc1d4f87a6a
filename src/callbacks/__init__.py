"""Lightning callbacks of our own, one a file."""
