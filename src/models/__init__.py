"""Backbones, heads, losses, and the LightningModule that joins them."""
