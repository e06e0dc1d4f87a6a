"""Tasks: what is learned from a network's features, and how it is measured and reported."""
