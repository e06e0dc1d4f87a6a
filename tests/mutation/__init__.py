"""Damaged files in large numbers: what strangers and broken disks hand over. `python -m tests.mutation --help`."""
