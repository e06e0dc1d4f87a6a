"""Differentiable twins of the voices and their kernels: torch functions with compiled, hand-derived gradients."""
