"""Time-domain losses in closed form, for silence, and against auraloss."""

import math

import pytest
import torch

from src.models.losses.sound.time_domain import DCLoss, ESRLoss, SISDRLoss

NOISE = torch.randn(2, 4, 5000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET, OTHER = NOISE


@pytest.mark.parametrize("gain", [-1.0, 0.0, 0.7, 3.0])
def test_esr_of_a_gain(gain):
    found = ESRLoss(reduction="none")(gain * TARGET, TARGET)
    torch.testing.assert_close(found, torch.full((4,), (1 - gain) ** 2, dtype=torch.float64))


def test_dc_of_an_offset_on_a_square_wave():
    """Mean square 0.25, offset 0.1: 0.01 / 0.25."""
    square = torch.tensor([0.5, -0.5], dtype=torch.float64).repeat(3, 100)
    expected = torch.full((3,), 0.04, dtype=torch.float64)
    torch.testing.assert_close(DCLoss(reduction="none")(square + 0.1, square), expected)


@pytest.mark.parametrize("noise_db", [-40.0, -3.0, 20.0])
@pytest.mark.parametrize("gain", [0.01, 1.0, -5.0])
def test_si_sdr_of_orthogonal_noise_is_its_level_at_any_gain_and_offset(noise_db, gain):
    time = torch.arange(4410, dtype=torch.float64) / 44100
    sine, cosine = torch.sin(2 * torch.pi * 440 * time)[None], torch.cos(2 * torch.pi * 440 * time)[None]
    prediction = gain * (sine + 10 ** (noise_db / 20) * cosine) + 0.3
    assert SISDRLoss()(prediction, sine - 0.2).item() == pytest.approx(noise_db, abs=3e-3)


def test_si_sdr_needs_no_particular_level_in_float32():
    quiet = SISDRLoss()(1e-2 * (TARGET + OTHER).float(), 1e-2 * TARGET.float())
    loud = SISDRLoss()(1e3 * (TARGET + OTHER).float(), 1e3 * TARGET.float())
    assert quiet.item() == pytest.approx(loud.item(), abs=1e-3)
    assert loud.item() == pytest.approx(10 * math.log10(1), abs=0.5)  # as much noise as signal


@pytest.mark.parametrize("name", ["ESRLoss", "DCLoss", "SISDRLoss"])
def test_values_match_auraloss(name):
    auraloss = pytest.importorskip("auraloss")
    ours = {"ESRLoss": ESRLoss, "DCLoss": DCLoss, "SISDRLoss": SISDRLoss}[name]()
    theirs = getattr(auraloss.time, name)()
    assert ours(TARGET + 0.1 * OTHER, TARGET).item() == pytest.approx(
        theirs(TARGET + 0.1 * OTHER, TARGET).item(), rel=1e-6
    )


SILENCE = torch.zeros(4, 5000)
SOUND = 0.1 * OTHER.float()


def test_silence_against_silence_is_no_error():
    for loss in (ESRLoss(reduction="none"), DCLoss(reduction="none"), SISDRLoss(reduction="none")):
        assert loss(SILENCE, SILENCE).tolist() == [0.0] * 4


def test_a_silent_target_counts_as_one_at_minus_90_db():
    power = SOUND.double().square().mean(dim=1)
    torch.testing.assert_close(ESRLoss(reduction="none")(SOUND, SILENCE).double(), power / 1e-9, rtol=1e-5, atol=0)
    offset = SILENCE + 0.5
    torch.testing.assert_close(DCLoss(reduction="none")(offset, SILENCE), torch.full((4,), 0.25 / 1e-9))
    assert (SISDRLoss(reduction="none")(SOUND, SILENCE) > 120).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_si_sdr_cannot_see_and_what_it_reads_as_perfect(dtype):
    sound = SOUND.to(dtype)
    loss = SISDRLoss(reduction="none")
    for silent in (SILENCE.to(dtype), 0.3 + SILENCE.to(dtype), 1e4 * (1 + SILENCE.to(dtype))):  # a constant is silence
        assert loss(silent, sound).tolist() == [0.0] * 4
    for match in (sound, 3 * sound, sound + 0.3, -1e-5 * sound):
        assert (loss(match, sound) < -120).all()


def test_a_quiet_target_under_a_loud_prediction_is_still_a_sound():
    """100 dB below: nothing is added to the target's energy."""
    found = ESRLoss(reduction="none")(TARGET, 1e-5 * OTHER)
    expected = (TARGET - 1e-5 * OTHER).square().sum(dim=1) / (1e-5 * OTHER).square().sum(dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
