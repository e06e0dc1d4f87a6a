"""Audio -> spectral image: the front end of generation, training and prediction."""
