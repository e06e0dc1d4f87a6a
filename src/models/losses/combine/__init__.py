"""Sums of several losses, and the balance of heads."""
