"""Distances between a predicted and a target sound, one value per clip; `table.METRICS` lists them."""
