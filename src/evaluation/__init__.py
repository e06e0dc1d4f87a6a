"""Evaluate a trained model: errors with intervals and baselines, and sounds rendered from its predictions."""
