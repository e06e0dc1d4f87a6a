"""VIMH datasets: format, generation, reading, and the LightningDataModule that serves batches."""
