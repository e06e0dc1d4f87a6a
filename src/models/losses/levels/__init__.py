"""Losses of levels: logits over a parameter's grid."""
