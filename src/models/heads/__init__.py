"""Heads: from a network's features to one parameter's value, distribution and uncertainty."""
