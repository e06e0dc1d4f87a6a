"""Sources whose images are a known function of the parameters."""

from types import SimpleNamespace

import numpy as np

from src.evaluation.refinement.problem import Problem
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

HEIGHT, WIDTH = 8, 16


def source_of(image, count):
    """Return a source of `count` parameters in [0, 1], whose images (n, 8, 16) are `image(values (n, P))`."""
    space = ParameterSpace([ParameterSpec(name=f"p{at}", min=0, max=1) for at in range(count)])

    def float_images(values):
        images = image(np.asarray(values)).astype(np.float32).reshape(-1, 1, HEIGHT, WIDTH)
        return images, np.tile(np.float32([-80, 0]), (len(images), 1))

    return SimpleNamespace(synth=SimpleNamespace(space=space), float_images=float_images)


def problem_of(source, truth, start, sd=0.1, steps=1e-3, kind="db", noise=0.0):
    """Return the problem of finding `truth` (n, P) from `start` (n, P)."""
    images, scale = source.float_images(truth)
    images = images + noise * np.random.default_rng(0).standard_normal(images.shape).astype(np.float32)
    width = truth.shape[1]
    return Problem(source, images, scale, start, np.full(truth.shape, sd), np.full(width, steps), kind)


def linear(count, seed=0):
    """Return the matrix (P, cells) of linear images, and their source."""
    matrix = np.random.default_rng(seed).uniform(-0.2, 0.2, (count, HEIGHT * WIDTH))
    return matrix, source_of(lambda values: 0.5 + (values - 0.5) @ matrix, count)
