"""The path from which users' own voices import ParameterSpec."""

from src.parameters.spec import ParameterSpec

__all__ = ["ParameterSpec"]
