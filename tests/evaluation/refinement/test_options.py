"""The key `refine`: a number, or a mapping."""

import pytest
from omegaconf import OmegaConf

from src.evaluation.refinement.options import Options, parse_options
from src.utils.errors import UserError
from tests import running


@pytest.mark.parametrize("entry", ["predict", "eval"])
def test_the_config_refines_nothing_until_it_is_told_to(entry):
    assert parse_options(running.composed(entry)) is None
    assert parse_options(running.composed(entry, "refine=5")) == Options(iterations=5)
    given = running.composed(entry, "refine.iterations=3", "refine.residual=db", "refine.starts=2")
    assert parse_options(given) == Options(iterations=3, residual="db", starts=2)


@pytest.mark.parametrize("off", [0, None, {"iterations": 0}, {"iterations": 0, "method": "lm"}])
def test_what_refines_nothing(off):
    assert parse_options(OmegaConf.create({"refine": off})) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (True, "refine: True given; give a number of iterations"),
        ("five", "refine: 'five' given; give a number of iterations"),
        (2.5, "refine: 2.5 given"),
        (-1, "refine.iterations: -1 given"),
        ({"iterations": 3, "method": "newton"}, "refine.method: 'newton' given"),
        ({"iterations": 3, "residual": "power"}, "refine.residual: 'power' given"),
        ({"iterations": 3, "start": 2}, "refine.start"),
        ({"iterations": 0, "starts": 2}, "refine.iterations: 0 given beside other keys .* give refine.iterations=5"),
        ({"iterations": 0, "method": "newton"}, "refine.method: 'newton' given"),
        ({"starts": 2}, "refine.iterations: 0 given beside other keys"),
    ],
)
def test_what_is_wrong_is_one_line(given, message):
    with pytest.raises(UserError, match=message) as fault:
        parse_options(OmegaConf.create({"refine": given}))
    assert "\n" not in str(fault.value)
