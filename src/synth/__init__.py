"""Parameters -> audio: what a sound is made of, and the compiled kernels that make it."""
