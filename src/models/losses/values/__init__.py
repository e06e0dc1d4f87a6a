"""Losses of values, and of distributions with a parametric form."""
