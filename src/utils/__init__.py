"""Plumbing between Hydra, Lightning and the person at the terminal."""
