"""The tables of limits: what they find in limits that are made up, and that they fit a screen."""

import numpy as np
import pytest

from src.data.limits import Limits
from src.evaluation import limits as command
from src.evaluation.limit_tables import collinear_pairs, print_limits, undetermined, weak_regions
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests import running

SPACE = ParameterSpace(
    [
        ParameterSpec(name="gain", min=-20, max=20, unit="dB"),
        ParameterSpec(name="cutoff", min=100, max=10_000, unit="Hz", scale="log"),
        ParameterSpec(name="wave", min=0, max=3, kind="categorical"),
    ]
)


@pytest.fixture
def limits():
    """100 points: the cutoff is five times worse where the gain is lowest, and cannot be told from it at 10 of them."""
    unit = np.column_stack([np.arange(100) / 100, (np.arange(100) * 37 % 100) / 100, np.full(100, 0.5)])
    values = SPACE.denormalize(unit)
    sd = np.column_stack([np.full(100, 0.02), np.where(unit[:, 0] < 0.2, 0.05, 0.01), np.full(100, np.nan)])
    correlation = np.full((100, 3, 3), np.nan)
    correlation[:, :2, :2] = np.eye(2)
    correlation[:10, 0, 1] = correlation[:10, 1, 0] = -0.97
    together = np.zeros((100, 3), bool)
    together[:4, :2] = True
    together[4, 0] = True
    return Limits(SPACE, values, sd, correlation, together)


def test_the_weak_region_of_a_parameter_is_found(limits):
    (region,) = weak_regions(limits)
    assert region[:2] == ("cutoff", "gain") and region.ratio == pytest.approx(5)
    assert (region.low, region.high) == pytest.approx((-20, -12))


def test_pairs_whose_errors_correlate_are_counted(limits):
    assert collinear_pairs(limits) == [("gain", "cutoff", 0.1)]
    limits.correlation[:] = 0
    assert collinear_pairs(limits) == []


def test_what_changes_without_a_trace_is_counted_and_named(limits):
    assert undetermined(limits) == (0.05, ["gain", "cutoff"])
    limits.undetermined[:] = False
    assert undetermined(limits) == (0, [])


def test_the_figures_are_in_units_and_of_the_range(limits, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_limits(limits, "mine", 40)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    lines = [line.split() for line in out.splitlines()]
    assert "mine: image limit, white noise at 40 dB SNR" in out
    assert ["gain", "dB", "0.8", "0.8", "2", "%", "2", "%"] in lines  # 2 % of 40 dB
    cutoff = next(line for line in lines if line[:2] == ["cutoff", "Hz"])
    in_hz = np.quantile(limits.sd[:, 1] * limits.values[:, 1] * np.log(100), [0.5, 0.9])
    assert [float(cell) for cell in cutoff[2:4]] == pytest.approx(in_hz, rel=0.05)
    assert cutoff[4:] == ["1", "%", "5", "%"]
    told = " ".join(out.split())
    assert "not continuous, and taken as known: wave" in told
    assert "at 5 % of the points a change of gain and cutoff together leaves the image as it is" in told
    assert ["cutoff", "gain", "-20..-12", "5.0"] in lines and ["gain", "cutoff", "10", "%"] in lines


def test_the_command_prints_the_limits_of_any_composition(capsys):
    given = ("synth=simple_saw", "spectral.height=16", "dataset.size=64", "points=20", "extras.num_threads=null")
    command.main(running.composed("limits", "paths.output_dir=.", *given))
    out = capsys.readouterr().out
    assert "simple_saw: image limit, images of bytes" in out and "at 20 random points" in out
    assert "note_velocity" in out and "log10_decay_time" in out and "undetermined" not in out


@pytest.mark.parametrize("given", ["points=3", "noise_db=loud", "synth.duration=-1"])
def test_a_value_that_makes_no_sense_is_one_line(given, caplog):
    with pytest.raises(SystemExit):
        command.main(running.composed("limits", "paths.output_dir=.", given))
    (line,) = caplog.messages
    assert line.startswith(f"{given.partition('=')[0]}: ") and "\n" not in line
