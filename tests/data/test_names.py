"""Names of datasets: the classic ones for the shipped configs, another one for whatever differs."""

import itertools

import pytest

from src.data.names import SHIPPED, describe_analysis, describe_sound, digest
from src.data.recipe import parse_recipe
from src.data.source import load_source
from tests import running
from tests.data.conftest import tiny_config
from tests.synth.outside import require_installed

SAW = "vimh-32x32x1_8000Hz_1p0s_256dss_simple_saw_2p"


def source(*overrides):
    return load_source(parse_recipe(running.recipe("dataset.size=256", *overrides)))


def choices(group):
    return sorted(path.stem for path in (running.CONFIGS / group).glob("*.yaml"))


@pytest.mark.parametrize("synth", choices("synth"))
def test_a_shipped_synth_has_the_digest_of_its_config(synth):
    require_installed(synth)
    assert SHIPPED.get(synth) == digest(describe_sound(source(f"synth={synth}").synth)), "write it to src/data/names.py"


@pytest.mark.parametrize("spectral", choices("spectral"))
def test_a_shipped_analysis_has_the_digest_of_its_config(spectral):
    found = digest(describe_analysis(source(f"spectral={spectral}").recipe))
    assert SHIPPED.get(spectral) == found, "write it to src/data/names.py"


def test_nothing_else_is_shipped():
    assert set(SHIPPED) == {*choices("synth"), *choices("spectral")}


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], SAW),
        (["synth=simple_saw_classic"], "vimh-32x32x1_8000Hz_1p0s_256dss_simple_saw_classic_2p"),
        (["synth=moog_basic"], "vimh-32x32x1_8000Hz_1p0s_256dss_moog_basic_4p"),
        (["synth=moog_envelope", "dataset.size=512"], "vimh-32x64x1_8000Hz_2p0s_512dss_moog_envelope_10p"),
        (["synth=moog_resonance", "dataset.size=384"], "vimh-48x48x1_8000Hz_1p5s_384dss_moog_resonance_5p"),
        (["synth.duration=2"], SAW.replace("1p0s", "2p0s")),
        (["spectral.channels=[magnitude,temporal_envelope]"], SAW.replace("x1_", "x2_") + "_temporal"),
        (["spectral.channels=[magnitude,spectral_envelope]"], SAW.replace("x1_", "x2_") + "_spectral"),
        (
            ["spectral.channels=[magnitude,temporal_envelope,spectral_envelope]", "spectral.image_scaling=per_sample"],
            SAW.replace("x1_", "x3_") + "_envelopes_normalized",
        ),
        (["spectral.image_scaling=per_sample", "dataset.shuffle=true"], SAW + "_normalized_shuffled"),
        (["spectral=stft_48x48"], SAW.replace("32x32", "48x48")),
        (["spectral=mel_32x32"], SAW + "_mel"),
        (["dataset.sampling=grid"], SAW + "_grid"),
        (["dataset.sampling=systematic"], SAW + "_grid"),
        (["dataset.sampling=sobol", "dataset.seed=7"], SAW + "_sobol_seed7"),
        (["spectral=mel_32x32", "dataset.shuffle=true", "dataset.seed=7"], SAW + "_shuffled_mel_seed7"),
        (["dataset.name=mine", "dataset.seed=7"], "mine"),
        # given as they are anyway
        (["synth.settings.drive=0.5", "dataset.val_fraction=0.1", "spectral.n_fft=80", "spectral.freq_min=9"], SAW),
        (["+synth.parameters.filter_cutoff.value=1000", "synth.parameters.note_velocity.min=64.0"], SAW),
    ],
)
def test_usual_settings_have_readable_names(overrides, name):
    assert source(*overrides).name == name


DIFFERENT = [
    *([f"spectral.{key}"] for key in ("floor_db=-60", "ceil_db=6", "window_type=hann", "n_fft=96", "n_window=40")),
    *([f"spectral.{key}"] for key in ("pre_emphasis=0.9", "hop_length=10", "type=mel", "height=64", "width=16")),
    *([f"spectral.channels=[magnitude,{names}]"] for names in ("modulation", "group_delay", "temporal_envelope")),
    *([f"spectral.channels=[magnitude,{names}]"] for names in
      ("temporal_envelope,spectral_envelope", "spectral_envelope,temporal_envelope", "temporal_envelope,modulation")),
    ["spectral=mel_32x32"],
    ["spectral=mel_32x32", "spectral.freq_min=50"],
    *([f"dataset.{key}"] for key in ("seed=1", "sampling=grid", "shuffle=true")),
    *([f"dataset.{key}_fraction=0.2"] for key in ("val", "test")),
    *([f"synth.parameters.note_velocity.{key}"] for key in ("min=60", "max=120", "step=8")),
    ["+synth.parameters.note_velocity.value=100"],
    ["+synth.parameters.note_velocity.scale=log"],
    ["+synth.parameters.log10_decay_time.kind=ordinal"],
    ["synth.parameters.note_number.value=50"],
    ["synth.settings.drive=0"],
    ["synth.settings.oscillator=naive"],
    ["synth.name=other"],
    ["synth.sample_rate=16000"],
    ["synth=moog_basic"],
]  # fmt: skip


def test_whatever_differs_has_another_name():
    mel = ["spectral.n_fft=512", "spectral.freq_min=40"]  # so that no band is empty
    names = [source(*given, *(mel if given == ["spectral.type=mel"] else [])).name for given in [[], *DIFFERENT]]
    for (one, name), (other, another) in itertools.combinations(zip([[], *DIFFERENT], names, strict=True), 2):
        assert name != another, (one, other)


def test_a_synth_of_ones_own_has_a_digest_that_goes_with_its_ranges():
    config = tiny_config(**{"dataset.name": None})
    one = load_source(parse_recipe(config)).name
    assert one.startswith("vimh-8x6x1_8000Hz_0p1s_150dss_tiny_2p_") and len(one.rpartition("_")[2]) == 6
    assert load_source(parse_recipe(tiny_config(**{"dataset.name": None}))).name == one
    config["synth"]["parameters"]["note_velocity"]["max"] = 120
    assert load_source(parse_recipe(config)).name != one


def test_names_of_categories_and_what_the_synth_says_of_itself_are_told_apart():
    entry = {"kind": "categorical", "min": 0, "max": 1}
    config = tiny_config(**{"dataset.name": None})
    config["synth"]["parameters"]["filter_enabled"] = entry
    numbered = load_source(parse_recipe(config)).name
    config["synth"]["parameters"]["filter_enabled"] = {"values": ["bypassed", "filtered"]}
    assert load_source(parse_recipe(config)).name != numbered
