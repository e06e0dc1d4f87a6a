"""Losses of boxes: rectangles in an image."""
