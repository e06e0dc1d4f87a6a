"""The project's Lightning callbacks."""
