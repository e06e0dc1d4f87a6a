"""Refine predicted parameters until the rendered image agrees with the image of the sound."""
