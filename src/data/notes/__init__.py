"""Several notes at once, and maps that say which of them is the loudest in each pixel of the spectral image."""
