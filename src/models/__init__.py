"""Backbones, heads, losses, and the LightningModule that combines them."""
