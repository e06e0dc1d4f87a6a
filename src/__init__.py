"""Neural spectral modeling: sounds to spectral images to synthesizer parameters."""

__version__ = "0.1.0"
