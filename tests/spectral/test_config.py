"""The spectral schema: a fault names key, value and what is allowed."""

import pytest
from pydantic import ValidationError

from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.spectral.config import CHANNELS, SpectralConfig
from tests import running

GOOD = {"height": 32, "width": 32, "n_fft": 80, "n_window": 80}


def test_defaults():
    config = SpectralConfig(**GOOD)
    assert (config.type, config.window_type, config.hop_length) == ("stft", "hann", "auto")
    assert (config.image_scaling, config.floor_db, config.ceil_db) == ("global", -80, 0)
    assert config.channels == ("magnitude",)


def test_every_channel_and_any_resolution_is_accepted():
    channels = (*CHANNELS, "stft_32", "stft_512")
    assert SpectralConfig(**GOOD, channels=list(channels)).channels == channels


def test_config_survives_plain_json():
    config = SpectralConfig(**GOOD, hop_length=12, channels=("magnitude", "stft_64"))
    assert SpectralConfig(**config.model_dump(mode="json")) == config


def test_height_may_use_every_bin_and_mel_may_exceed_them():
    assert SpectralConfig(**{**GOOD, "height": 40}).height == 40
    assert SpectralConfig(**{**GOOD, "height": 41, "type": "mel"}).height == 41


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": 41}, ["height 41", "n_fft // 2 = 40"]),
        ({"n_window": 81}, ["n_window 81", "n_fft 80"]),
        ({"floor_db": 0}, ["floor_db 0", "below ceil_db 0"]),
        ({"floor_db": -300}, ["greater than or equal to -200"]),
        ({"ceil_db": 80}, ["less than or equal to 60"]),
        ({"hop_length": 0}, ["hop_length 0", "'auto' or at least 1"]),
        ({"height": 0}, ["greater than or equal to 1"]),
        ({"n_fft": 70_000}, ["less than or equal to 65536"]),
        ({"type": "cqt"}, ["'stft' or 'mel'"]),
        ({"window_type": "kaiser"}, ["'rectangular', 'hann', 'hamming' or 'blackman'"]),
        ({"image_scaling": "none"}, ["'global' or 'per_sample'"]),
        ({"pre_emphasis": 1.0}, ["less than 1"]),
        ({"freq_max_ratio": 1.5}, ["less than or equal to 1"]),
        ({"floor_db": float("nan")}, ["finite number"]),
        ({"n_ffts": 80}, ["not permitted"]),
        ({"channels": ["magnitude", "phase"]}, ["'phase' is not a channel", "group_delay", "stft_N"]),
        ({"channels": ["magnitude", "stft_3"]}, ["'stft_3' is not a channel"]),
        ({"channels": ["group_delay"]}, ["begin with 'magnitude'"]),
        ({"channels": []}, ["begin with 'magnitude'"]),
        ({"channels": ["magnitude", "modulation", "modulation"]}, ["no channel twice"]),
        ({"height": 4096, "width": 4096}, ["height * width * channels is at most 4194304"]),
        ({"n_fft": 65536, "height": 512}, ["n_fft 65536 at height 512", "too much memory"]),
        ({"width": 4096, "channels": ["magnitude", "stft_65536"]}, ["width 4096", "the N of a channel stft_N"]),
        ({"width": 4096, "n_fft": 4096, "channels": ["magnitude", "group_delay"]}, ["2 channels", "too much memory"]),
    ],
)
def test_fault_names_key_value_and_what_is_allowed(change, words):
    with pytest.raises(ValidationError) as raised:
        SpectralConfig(**{**GOOD, **change})
    (fault,) = raised.value.errors()
    text = ".".join(map(str, fault["loc"])) + ": " + fault["msg"]
    assert "\n" not in text and all(word in text for word in words), text
    assert next(iter(change)) in text


def test_the_largest_front_ends_are_accepted():
    assert SpectralConfig(height=2048, width=2048, n_fft=4096, n_window=4096).num_bins == 2**23
    channels = ("magnitude", "stft_16384", "group_delay")
    assert SpectralConfig(**GOOD | {"width": 1000}, channels=channels).num_bins == 1000 * (80 + 16384 + 80)


@pytest.mark.parametrize(
    ("n_fft", "n_window", "expected"),
    [
        ("2.5 * height", "n_fft", (80, 80)),
        ("4*height", "0.5 * n_fft", (128, 64)),
        ("16/3 * height", "n_fft", (170, 170)),  # an even number
        ("3 * height", "80", (96, 80)),
        (128, "n_fft", (128, 128)),
        ("100", 50, (100, 50)),
    ],
)
def test_sizes_may_be_multiples(n_fft, n_window, expected):
    config = SpectralConfig(**GOOD | {"n_fft": n_fft, "n_window": n_window})
    assert (config.n_fft, config.n_window) == expected
    assert SpectralConfig(**config.model_dump(mode="json")) == config


@pytest.mark.parametrize("spectral", ["stft_32x32", "stft_32x64", "stft_48x48", "mel_32x32"])
@pytest.mark.parametrize("height", [16, 64, 128])
def test_another_height_alone_is_enough(spectral, height):
    """An STFT's rows cover the same range, and a mel band still holds a bin."""
    given, changed = (
        load_source(parse_recipe(running.recipe("synth=simple_saw", f"spectral={spectral}", *more))).front_end
        for more in ([], [f"spectral.height={height}"])
    )
    ratio = height / given.config.height
    assert changed.image_shape == (1, height, given.config.width)
    assert changed.config.n_fft == pytest.approx(given.config.n_fft * ratio, abs=1)
    assert changed.config.n_window == pytest.approx(given.config.n_window * ratio, abs=1)


def test_a_number_is_used_as_it_is():
    config = parse_recipe(running.recipe("spectral.height=40", "spectral.n_fft=80")).spectral
    assert (config.height, config.n_fft, config.n_window) == (40, 80, 80)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_fft": "2,5 * height"}, ["n_fft '2,5 * height'", "as in 2.5 * height"]),
        ({"n_fft": "1e999999999 * height"}, ["as in 2.5 * height"]),  # no power of ten that fills the memory
        ({"n_fft": "1/0 * height"}, ["n_fft '1/0 * height' divides by zero"]),
        ({"n_fft": "9999 * height"}, ["less than or equal to 65536"]),
        ({"n_fft": "n_window"}, ["n_fft 'n_window' is not a number or a multiple of height"]),
        ({"n_window": "height"}, ["n_window 'height' is not a number or a multiple of n_fft, as in 2.5 * n_fft"]),
    ],
)
def test_what_is_no_multiple_is_told(change, words):
    with pytest.raises(ValidationError) as raised:
        SpectralConfig(**GOOD | change)
    text = str(raised.value.errors()[0]["msg"])
    assert all(word in text for word in words), text


def test_a_missing_size_is_a_missing_field():
    with pytest.raises(ValidationError, match="Field required"):
        SpectralConfig(height=32, width=32, n_window=80)


def test_a_mistyped_hop_names_both_allowed_forms():
    with pytest.raises(ValidationError) as raised:
        SpectralConfig(**GOOD, hop_length="autoo")
    assert {fault["loc"][0] for fault in raised.value.errors()} == {"hop_length"}
    assert any("'auto'" in fault["msg"] for fault in raised.value.errors())
