"""Parameters -> audio: voices, their parameters and compiled kernels."""
