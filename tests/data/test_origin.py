"""How a dataset was made comes out of a file: the voice has to be trusted, and the sizes have bounds."""

import copy
from dataclasses import replace

import pytest

from src.data.generate import generate
from src.data.info import read_spec
from src.data.inputs import Inputs
from src.data.origin import recipe_of, recipe_to_make, source_of
from src.utils.errors import UserError
from tests.data.conftest import tiny_recipe
from tests.mutation.guard import CANARY, guarded


@pytest.fixture
def spec(tiny):
    return read_spec(tiny)


def changed(spec, part, **values):
    generator = copy.deepcopy(spec.origin.generator)
    generator["config"][part] |= values
    return with_origin(spec, generator=generator)


def with_origin(spec, **changes):
    return replace(spec, origin=replace(spec.origin, **changes))


def refusal(check, *arguments):
    with pytest.raises(UserError) as raised, guarded():
        check(*arguments)
    message = str(raised.value)
    assert message.isprintable() and len(message) <= 2000
    return message


def test_the_recipe_of_a_dataset_makes_the_same_bytes_under_the_same_name(spec, tiny, tmp_path):
    made, _ = generate(recipe_to_make(spec), tmp_path, pickle=True)
    assert made.name == tiny.name
    assert [(made / name).read_bytes() for name in ("train", "test")] == [
        (tiny / name).read_bytes() for name in ("train", "test")
    ]


VOICES = [
    *("os.system", "tests.mutation.canary.VOICE", "src.synth.saw_moog.render", "src.synth.saw_moog.SAW_MOOG.render"),
    *("src.synth.saw_moog", "SAW_MOOG", "", ".", "src.synth.saw_moog.SAW_MOOG ", "SRC.synth.saw_moog.SAW_MOOG", "a\nb"),
    *("src.models.build.VIMHLitModule", "x" * 3000, "src.synth.saw_moog.SAW_MOOG\0"),
]


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("check", [recipe_of, source_of, recipe_to_make])
def test_a_voice_that_a_file_names_is_ours_or_trusted(spec, check, voice):
    assert "is not built in" in refusal(check, changed(spec, "synth", voice=voice))
    assert "is not built in" in refusal(check, changed(spec, "synth", voice=voice), ("mine",))


@pytest.mark.parametrize("generator", [None, {}, {"config": None}, {"config": "x"}, {"config": [1]}])
def test_a_dataset_without_a_recipe_cannot_be_made_again(spec, generator):
    assert "its description has no recipe for its sounds" in refusal(recipe_of, with_origin(spec, generator=generator))


@pytest.mark.parametrize("config", [{}, {"synth": {}}, {"synth": 3, "spectral": [], "dataset": None}])
def test_a_damaged_recipe_is_one_line(spec, config):
    refusal(recipe_of, with_origin(spec, generator={"config": config}))


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("synth", {"sample_rate": 16_000}),
        ("synth", {"duration": 0.2}),
        ("spectral", {"height": 9, "n_fft": 80}),
        ("synth", {"parameters": {"note_velocity": {"min": 1, "step": 1, "max": 127}}}),
    ],
)
def test_a_recipe_that_makes_something_else_is_refused(spec, part, values):
    assert "that its description states" in refusal(source_of, changed(spec, part, **values))


@pytest.mark.parametrize("size", [3_900_000, 10**9, 2**40])
def test_a_large_dataset_is_not_made_because_a_file_says_so(spec, size):
    message = refusal(recipe_to_make, changed(spec, "dataset", size=size))
    assert message.endswith(f"make the dataset with generate_vimh.py synth=tiny dataset.size={size}")


@pytest.mark.parametrize(("duration", "height", "n_fft"), [(60.0, 8, 80), (2.0, 1024, 2048)])
def test_nor_is_one_of_long_clips_or_large_images(spec, duration, height, n_fft):
    spec = changed(spec, "synth", duration=duration, sample_rate=48_000)
    spec = changed(spec, "spectral", height=height, width=1024, n_fft=n_fft, n_window=4)
    spec = with_origin(spec, duration=duration, sample_rate=48_000.0)
    spec = replace(spec, inputs=Inputs((1, height, 1024)))
    assert "may take more than a minute or 500 MB" in refusal(recipe_to_make, spec)


def test_a_dataset_of_the_default_size_is_made_again(spec):
    recipe = recipe_to_make(changed(spec, "dataset", size=16_384))
    assert recipe.dataset.size == 16_384


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "..", ".", "a\nb", "a\0b", "~", "", "x:y"])
def test_the_name_leads_to_no_other_directory(spec, name):
    refusal(recipe_to_make, replace(spec, name=name))


@pytest.mark.parametrize("voice", ["origin_voice.VOICE", "origin_voice.NONE", "origin_voice.render"])
def test_a_trusted_voice_is_used(tmp_path, monkeypatch, voice):
    code = "from src.synth.saw_moog import SAW_MOOG as VOICE\nNONE = 3\ndef render(): pass\n"
    (tmp_path / "origin_voice.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    directory, _ = generate(tiny_recipe(**{"synth.voice": "origin_voice.VOICE", "dataset.size": 16}), tmp_path / "data")
    spec = changed(read_spec(directory), "synth", voice=voice)
    for trust in (("origin_voice",), (voice,)):
        if voice.endswith("VOICE"):
            assert source_of(spec, trust).synth.voice.name == "saw_moog"
        else:
            assert "not a src.synth.voice.Voice" in refusal(source_of, spec, trust)
    assert CANARY not in voice and "trust=[" in refusal(source_of, spec)
