"""What every loss on waveforms keeps to, whatever its formula."""

import inspect
import re

import pytest
import torch

from src.models.losses.sound.cumulative import CumulativeSpectralLoss, SpectralOptimalTransportLoss
from src.models.losses.sound.envelope import EnvelopeLoss
from src.models.losses.sound.f0_centroid import F0CentroidLoss
from src.models.losses.sound.mel import MelSpectralLoss
from src.models.losses.sound.multi_scale import MultiScaleSpectralLoss
from src.models.losses.sound.pre_emphasis import PreEmphasisLoss
from src.models.losses.sound.stft import LogSTFTLoss, MultiResolutionSTFTLoss, SpectralConvergenceLoss
from src.models.losses.sound.time_domain import DCLoss, ESRLoss, SISDRLoss
from src.models.losses.values.distance import DistanceLoss, HuberLoss, LogCoshLoss

SMALL = ((32, 64), (8, 10), (32, 40))
LOSSES = {
    "distance": lambda: DistanceLoss(),
    "distance-square": lambda: DistanceLoss(p=2),
    "distance-1.5": lambda: DistanceLoss(p=1.5),
    "log_cosh": lambda: LogCoshLoss(),
    "huber": lambda: HuberLoss(0.1),
    "multi_scale": lambda: MultiScaleSpectralLoss(64, 3),
    "multi_scale-both": lambda: MultiScaleSpectralLoss(64, 3, mag_w=0.5, logmag_w=2.0),
    "multi_scale-log": lambda: MultiScaleSpectralLoss(64, 3, mag_w=0.0, logmag_w=1.0),
    "multi_scale-power": lambda: MultiScaleSpectralLoss(64, 3, power=2),
    "multi_scale-norm": lambda: MultiScaleSpectralLoss(64, 3, p=2, hop_lengths=[3, 5, 7]),
    "spectral_convergence": lambda: SpectralConvergenceLoss(64),
    "log_stft": lambda: LogSTFTLoss(64, 20, 50),
    "multi_resolution_stft": lambda: MultiResolutionSTFTLoss(*SMALL, w_lin_mag=0.3),
    "mel_spectral": lambda: MelSpectralLoss(8000, 64, num_bands=5),
    "mel_spectral-linear": lambda: MelSpectralLoss(8000, 64, num_bands=5, log=False),
    "cumulative-time": lambda: CumulativeSpectralLoss("time", 64, 3),
    "cumulative-frequency": lambda: CumulativeSpectralLoss("frequency", 64, 3),
    "spectral_optimal_transport": lambda: SpectralOptimalTransportLoss(64),
    "envelope": lambda: EnvelopeLoss(16),
    "f0_centroid": lambda: F0CentroidLoss(8000, 64),
    "f0_centroid-hz": lambda: F0CentroidLoss(8000, 64, scale="hz"),
    "esr": lambda: ESRLoss(),
    "dc": lambda: DCLoss(),
    "si_sdr": lambda: SISDRLoss(),
    "pre_emphasis-esr": lambda: PreEmphasisLoss(ESRLoss()),
    "pre_emphasis-stft": lambda: PreEmphasisLoss(MultiResolutionSTFTLoss(*SMALL), 0.85),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
every_preparing_loss = pytest.mark.parametrize("name", [name for name in LOSSES if hasattr(LOSSES[name](), "prepare")])


def noise(*shape, seed=0, **kwargs):
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **kwargs)


@every_loss
@pytest.mark.parametrize("length", [1, 2, 40, 33 * 8])
def test_an_example_alone_has_the_loss_it_has_in_a_batch(name, length):
    loss = LOSSES[name]()
    prediction, target = noise(3, length, dtype=torch.float64), noise(3, length, seed=1, dtype=torch.float64)
    values = loss.values(prediction, target)
    assert values.shape == (3,)
    alone = [loss.values(one[None], other[None]) for one, other in zip(prediction, target, strict=True)]
    torch.testing.assert_close(values, torch.cat(alone), rtol=1e-10, atol=1e-10)
    assert loss(prediction, target).item() == pytest.approx(values.mean().item(), rel=1e-10)


@every_loss
def test_channels_are_averaged(name):
    loss = LOSSES[name]()
    prediction, target = noise(2, 3, 200, dtype=torch.float64), noise(2, 3, 200, seed=1, dtype=torch.float64)
    each = [loss.values(prediction[:, channel], target[:, channel]) for channel in range(3)]
    torch.testing.assert_close(loss.values(prediction, target), torch.stack(each).mean(dim=0))


def edge_cases(length):
    sound, other = noise(1, length), noise(1, length, seed=1)
    silence = torch.zeros(1, length)
    return {
        "both silent": (silence, silence),
        "silence for sound": (silence, sound),
        "sound for silence": (sound, silence),
        "match": (sound, sound),
        "match at 1e4": (1e4 * sound, 1e4 * sound),
        "1e4 for silence": (1e4 * sound, silence),
        "1e4 for sound": (1e4 * sound, other),
        "1e4": (1e4 * sound, 1e4 * other),
        "almost silent": (1e-20 * sound, 1e-20 * other),
        "constant": (torch.ones(1, length), sound),
    }


@every_loss
@pytest.mark.parametrize("length", [1, 3, 33, 500])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_value_and_gradient_are_finite_at_the_edges(name, length, dtype):
    loss = LOSSES[name]()
    for case, (prediction, target) in edge_cases(length).items():
        prediction = prediction.to(dtype, copy=True).requires_grad_()
        value = loss(prediction, target.to(dtype))
        assert value.dtype == torch.float32
        assert torch.isfinite(value), case
        value.backward()
        if dtype == torch.float32:  # what a float16 waveform's gradient can hold is not the loss's choice
            assert torch.isfinite(prediction.grad).all(), case


@every_loss
def test_a_match_is_the_minimum_and_has_no_gradient_in_any_direction(name):
    loss = LOSSES[name]()
    target = noise(2, 300)
    prediction = target.clone().requires_grad_()
    match = loss(prediction, target)
    match.backward()
    worse = loss(noise(2, 300, seed=1), target)
    assert match.item() < worse.item()
    if name != "si_sdr":  # a logarithm, at a match limited by rounding only
        assert match.item() == pytest.approx(0, abs=1e-6)
        assert prediction.grad.abs().max() < 1e-3


@every_loss
def test_half_precision_is_widened(name):
    loss = LOSSES[name]()
    prediction, target = noise(2, 300).half(), noise(2, 300, seed=1).half()
    assert loss(prediction, target).item() == loss(prediction.float(), target.float()).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(prediction, target).item() == loss(prediction.float(), target.float()).item()


@every_loss
def test_gradient_matches_finite_differences(name):
    """By torch's gradcheck for a short pair, by one batch that holds all steps for a longer one."""
    values = LOSSES[name]().values
    prediction, target = noise(2, 9, dtype=torch.float64), noise(2, 9, seed=1, dtype=torch.float64)
    torch.autograd.gradcheck(values, (prediction.requires_grad_(), target.requires_grad_()), atol=1e-4)
    pair = [noise(1, 75, seed=seed, dtype=torch.float64).requires_grad_() for seed in (0, 1)]
    steps = 1e-6 * torch.eye(75, dtype=torch.float64)
    for at, found in enumerate(torch.autograd.grad(values(*pair).sum(), pair)):
        one, other = (sound.detach().expand(75, 75) for sound in pair)
        change = values(one + steps, other) - values(one - steps, other)
        if at == 1:
            change = values(one, other + steps) - values(one, other - steps)
        torch.testing.assert_close(found[0], change / 2e-6, rtol=1e-3, atol=1e-4)


@every_loss
def test_shapes_that_differ_are_shown(name):
    for wrong in [(2, 41), (1, 40), (2, 1, 40)]:
        with pytest.raises(ValueError, match=f"{re.escape('(2, 40)')}.*{re.escape(str(wrong))}"):
            LOSSES[name]()(torch.zeros(2, 40), torch.zeros(wrong))


@every_loss
def test_nothing_is_saved_and_the_source_is_named(name):
    loss = LOSSES[name]()
    assert loss.state_dict() == {}
    source = re.search(r"\n\nSource: ([^\n]+(\n[^\n]+)*)$", inspect.getdoc(type(loss)))
    assert source and re.search(r"\d{4}.*\.$", source[1], re.DOTALL)


def tensors(prepared):
    return [prepared] if isinstance(prepared, torch.Tensor) else [one for part in prepared for one in tensors(part)]


@every_preparing_loss
def test_a_prepared_target_serves_as_well(name):
    loss = LOSSES[name]()
    target = noise(2, 2, 300).half()
    prepared = loss.prepare(target.requires_grad_())
    assert tensors(prepared) and not any(one.requires_grad or one.dtype == torch.half for one in tensors(prepared))
    prediction, same = (noise(2, 2, 300, seed=1).requires_grad_() for _ in range(2))
    direct, indirect = loss(prediction, target.detach()), loss(same, prepared)
    assert direct.item() == indirect.item()
    direct.backward()
    indirect.backward()
    assert torch.equal(prediction.grad, same.grad)


@every_preparing_loss
def test_a_target_prepared_from_other_shapes_is_refused(name):
    loss = LOSSES[name]()
    with pytest.raises(ValueError, match=r"\(1, .*\(2, "):
        loss(noise(1, 300), loss.prepare(noise(2, 300)))


def takes_only_audio(loss):
    return "value" not in loss.takes


@every_loss
def test_an_empty_waveform_is_refused(name):
    for shape in [(0,), (0, 5), (2, 0), (2, 0, 5), (2, 3, 0)]:
        for compute in (lambda loss, audio: loss(audio, audio), lambda loss, audio: loss.prepare(audio)):
            with pytest.raises(ValueError, match=rf"Loss: prediction {re.escape(str(shape))} .*neither may be empty"):
                compute(LOSSES[name](), torch.zeros(shape))


@pytest.mark.parametrize("name", [name for name in LOSSES if takes_only_audio(LOSSES[name]())])
def test_a_waveform_of_too_few_or_too_many_dimensions_is_refused(name):
    for shape in [(5,), (1, 1, 1, 5)]:
        for compute in (lambda loss, audio: loss(audio, audio), lambda loss, audio: loss.prepare(audio)):
            with pytest.raises(ValueError, match=rf"{re.escape(str(shape))} .*it takes audio \(B, T\) or"):
                compute(LOSSES[name](), torch.zeros(shape))


@every_loss
def test_integer_samples_are_refused(name):
    """Whose full scale is not 1."""
    with pytest.raises(ValueError, match=r"float32 and target \(2, 40\) int16 given"):
        LOSSES[name]()(torch.zeros(2, 40), torch.zeros(2, 40, dtype=torch.int16))


@every_loss
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", ["prediction", "target"])
def test_a_sample_that_is_not_finite_shows_in_its_own_example_only(name, bad, place):
    loss = LOSSES[name]()
    sounds = {"prediction": noise(3, 200, dtype=torch.float64), "target": noise(3, 200, seed=1, dtype=torch.float64)}
    expected = loss.values(**sounds)
    sounds[place][1, 77] = bad
    found = loss.values(**sounds)
    assert found.isfinite().tolist() == [True, False, True]
    torch.testing.assert_close(found[::2], expected[::2], rtol=1e-10, atol=1e-10)


# by how much a loss grows with the level of both sounds: to this power, None where a constant of it has a level
DEGREE = {
    "distance": 1,
    "distance-square": 2,
    "distance-1.5": 1.5,
    "log_cosh": None,
    "huber": None,
    "multi_scale": 1,
    "multi_scale-both": None,  # a sum of degrees 1 and 0
    "multi_scale-log": 0,
    "multi_scale-power": 2,
    "multi_scale-norm": 1,
    "spectral_convergence": 0,
    "log_stft": 0,
    "multi_resolution_stft": None,  # it has a linear term
    "mel_spectral": 0,
    "mel_spectral-linear": 1,
    "cumulative-time": 2,
    "cumulative-frequency": 2,
    "spectral_optimal_transport": 0,
    "envelope": 1,
    "f0_centroid": 0,
    "f0_centroid-hz": 0,
    "esr": 0,
    "dc": 0,
    "si_sdr": 0,
    "pre_emphasis-esr": 0,
    "pre_emphasis-stft": 0,
}


def sines(length=500):
    """Return two sounds of a few partials and much silence between them, (2, T) float64 each."""
    time = torch.arange(length, dtype=torch.float64)
    low, high = (torch.sin(2 * torch.pi * f * time) * (time > length // 3) for f in (0.031, 0.17))
    return torch.stack([low, 0.5 * high + 0.02]), torch.stack([0.7 * high, low])


@pytest.mark.parametrize("name", [name for name, degree in DEGREE.items() if degree is not None])
@pytest.mark.parametrize("level", [1e-5, 1e5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_level_of_both_sounds_changes_a_loss_by_its_power_only(name, level, dtype):
    loss = LOSSES[name]()
    rounding = 1e-4 if dtype == torch.float32 else 1e-9
    for prediction, target in [(noise(2, 500), noise(2, 500, seed=1)), sines()]:
        prediction, target = prediction.to(dtype), target.to(dtype)
        expected = loss.values(prediction, target)
        found = loss.values(level * prediction, level * target)
        torch.testing.assert_close(found / level ** DEGREE[name], expected, rtol=rounding, atol=rounding)
        prepared = loss.values(level * prediction, loss.prepare(level * target))
        assert torch.equal(prepared, found)


@pytest.mark.parametrize("name", ["si_sdr", "spectral_optimal_transport", "f0_centroid"])
@pytest.mark.parametrize("level", [1e-5, 1e5])
def test_the_level_of_one_sound_changes_nothing_where_the_definition_says_so(name, level):
    loss = LOSSES[name]()
    prediction, target = noise(2, 500, dtype=torch.float64), noise(2, 500, seed=1, dtype=torch.float64)
    expected = loss.values(prediction, target)
    torch.testing.assert_close(loss.values(level * prediction, target), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(loss.values(prediction, level * target), expected, rtol=1e-9, atol=1e-9)
