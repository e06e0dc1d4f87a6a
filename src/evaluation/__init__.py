"""How good a trained model is: figures with intervals and baselines, and sounds rendered from its predictions."""
