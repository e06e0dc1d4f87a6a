"""What happens to a run: its record, name, lock, ranks, checkpoints and the table of runs."""
