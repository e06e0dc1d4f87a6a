"""Backbones: (B, C, H, W) images to (B, D) features."""
