"""Audio -> spectral image: the one front end that generation, training and prediction share."""
