"""The spectral schema: a fault names key, value and what is allowed."""

import pytest
from pydantic import ValidationError

from src.spectral.config import CHANNELS, SpectralConfig

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
        ({"channels": ["magnitude", "phase"]}, ["'phase' is none of", "group_delay", "stft_N"]),
        ({"channels": ["magnitude", "stft_3"]}, ["'stft_3' is none of"]),
        ({"channels": ["group_delay"]}, ["begin with 'magnitude'"]),
        ({"channels": []}, ["begin with 'magnitude'"]),
        ({"channels": ["magnitude", "modulation", "modulation"]}, ["no channel twice"]),
    ],
)
def test_fault_names_key_value_and_what_is_allowed(change, words):
    with pytest.raises(ValidationError) as raised:
        SpectralConfig(**{**GOOD, **change})
    (fault,) = raised.value.errors()
    text = ".".join(map(str, fault["loc"])) + ": " + fault["msg"]
    assert "\n" not in text and all(word in text for word in words), text
    assert next(iter(change)) in text


def test_a_mistyped_hop_names_both_allowed_forms():
    with pytest.raises(ValidationError) as raised:
        SpectralConfig(**GOOD, hop_length="autoo")
    assert {fault["loc"][0] for fault in raised.value.errors()} == {"hop_length"}
    assert any("'auto'" in fault["msg"] for fault in raised.value.errors())
