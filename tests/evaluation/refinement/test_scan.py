"""Scans find the fringe that steps cannot reach."""

import numpy as np

from src.evaluation.refinement.descend import descend
from src.evaluation.refinement.scan import scan, scan_nearby, scan_pair, scan_spacing
from tests.evaluation.refinement.fakes import HEIGHT, WIDTH, linear, problem_of, source_of

_TIMES = np.linspace(0, 1, HEIGHT * WIDTH)
ROWS = np.arange(6)


def fringed():
    """Images of a phase that turns 60 times over the range of p0, and of a level, p1."""
    return source_of(
        lambda values: 0.5 + 0.2 * np.cos(2 * np.pi * 60 * values[:, :1] * _TIMES) + 0.2 * (values[:, 1:] - 0.5), 2
    )


def starts(spread):
    random = np.random.default_rng(0)
    truth = random.uniform(0.2, 0.8, (6, 2))
    return truth, truth + spread * random.uniform(-1, 1, (6, 2)) + np.array([0.03, 0.0])


def test_only_a_parameter_with_fringes_is_scanned():
    truth, start = starts(0.01)
    spacing = scan_spacing(problem_of(fringed(), truth, start, sd=0.03, steps=1e-5))
    assert (spacing[:, 0] > 0).all() and not spacing[:, 1].any()
    assert (spacing[:, 0] < 0.35 / 60 * 3).all()  # a fringe at the end of the clip is 1 / 60 wide
    linear_spacing = scan_spacing(problem_of(linear(2)[1], truth, start, sd=0.03))
    assert not linear_spacing.any()


def test_a_staircase_is_scanned():
    stairs = source_of(lambda values: np.tile(np.floor(values[:, :1] * 10) / 10, (1, HEIGHT * WIDTH)), 1)
    truth, start = np.full((1, 1), 0.72), np.full((1, 1), 0.55)
    problem = problem_of(stairs, truth, start, sd=0.1)
    spacing = scan_spacing(problem)
    found = scan(problem, np.array([0]), spacing, 1.0, 1)[0, 0]
    assert spacing[0, 0] > 0 and np.floor(10 * found[0]) == 7


def test_a_scan_and_steps_find_what_steps_alone_do_not():
    truth, start = starts(0.01)
    problem = problem_of(fringed(), truth, start, sd=0.03, steps=1e-5)
    alone, *_ = descend(problem, start, ROWS, np.zeros((6, 2)), 10)
    spacing = scan_spacing(problem)
    begin = scan(problem, ROWS, spacing, 1.0, 1)[:, 0]
    found, *_ = descend(problem, begin, ROWS, spacing, 5)
    assert np.abs(alone - truth)[:, 0].max() > 0.01
    assert np.abs(found - truth).max() < 1e-3


def test_two_coupled_phases_need_a_joint_scan():
    def image(values):
        carrier = 2 * np.pi * 60 * values[:, :1] * _TIMES
        return 0.5 + 0.1 * (np.cos(carrier) + np.cos(carrier + 2 * np.pi * 60 * values[:, 1:2] * _TIMES))

    truth, start = starts(0.03)
    problem = problem_of(source_of(image, 2), truth, start, sd=0.03, steps=1e-5)
    spacing = scan_spacing(problem) / 2
    assert (spacing > 0).all()
    alone = scan(problem, ROWS, spacing, 1.0, 1)[:, 0]
    together = scan_pair(problem, ROWS, start, spacing, 4.0, 3)
    assert together.shape == (6, 3, 2)
    assert (np.abs(together[:, 0] - truth) <= spacing).all() and (np.abs(alone - truth) > spacing).any()


def test_a_joint_scan_moves_only_parameters_with_scans():
    truth = np.full((1, 3), 0.5)
    start = truth + np.array([0.01, 0.0, 0.01])
    problem = problem_of(linear(3)[1], truth, start, sd=0.03)
    found = scan_pair(problem, np.array([0]), start, np.array([[0.005, 0.0, 0.005]]), 1.0, 1)
    np.testing.assert_allclose(found[:, 0], truth, atol=1e-9)


def test_a_joint_scan_of_parameters_without_an_effect_tells_them_apart():
    flat = source_of(lambda values: np.full((len(values), HEIGHT * WIDTH), 0.5), 2)
    start = np.full((1, 2), 0.5)
    problem = problem_of(flat, start, start, sd=0.03)
    found = scan_pair(problem, np.array([0]), start, np.full((1, 2), 0.01), 1.0, 60)[0]
    assert (found.min(axis=0) < 0.48).all() and (found.max(axis=0) > 0.52).all()


def test_several_minima_begin_with_the_lowest_and_differ():
    truth, start = starts(0.01)
    problem = problem_of(fringed(), truth, start, sd=0.03, steps=1e-5)
    found = scan(problem, ROWS, scan_spacing(problem), 2.0, 4)
    assert found.shape == (6, 4, 2)
    assert (np.abs(np.diff(found[:, :, 0], axis=1)) > 0).any()
    assert (np.abs(found[:, 0, 0] - truth[:, 0]) < 1 / 120).all()


def test_a_scan_nearby_never_raises_the_cost():
    truth, start = starts(0.001)
    problem = problem_of(fringed(), truth, start, sd=0.03)
    residual = problem.residual(start, ROWS)
    unit, after = scan_nearby(problem, ROWS, start, residual, np.tile([0.004, 0.0], (6, 1)))
    assert (np.square(after).sum(axis=1) <= np.square(residual).sum(axis=1)).all()
    np.testing.assert_array_equal(after, problem.residual(unit, ROWS))
