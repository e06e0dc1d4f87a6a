"""Backbones, one a file: (B, C, H, W) images to (B, D) features."""
