"""The front end against numpy and scipy in float64, and each channel against a closed form."""

import numpy as np
import pytest
import scipy.signal
import torch

from src.spectral.config import CHANNELS, SpectralConfig
from src.spectral.front_end import FrontEnd
from src.utils.errors import UserError
from tests.spectral.test_mel import mel_triangles

FS = 8000
WINDOWS = ("rectangular", "hann", "hamming", "blackman")
ALL_CHANNELS = (*CHANNELS, "stft_32", "stft_200")


def front_end(num_samples=8000, **given):
    config = {"height": 64, "width": 20, "n_fft": 128, "n_window": 128, **given}
    return FrontEnd(SpectralConfig(**config), FS, num_samples)


def image_of(audio, **given):
    """Return the image (C, H, W) of one clip, computed in float64: comparisons then depend on no processor."""
    audio = np.asarray(audio, np.float64)
    return front_end(len(audio), **given).double()(torch.from_numpy(audio)[None])[0][0].numpy()


def decibels_of(audio, **given):
    """Return the magnitude channel (H, W) in dB over a range in which nothing is clipped."""
    return -200 + 260 * image_of(audio, floor_db=-200, ceil_db=60, **given)[0]


def noise(num_samples=8000, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, num_samples)


def sine(frequency, num_samples=8000, amplitude=1.0, phase=0.3):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(num_samples) / FS + phase)


def window_of(window_type, n_window):
    return scipy.signal.get_window("boxcar" if window_type == "rectangular" else window_type, n_window)


def stft_decibels(audio, height, width, n_fft, n_window, window_type, hop):
    """numpy, float64, one frame at a time: bins 1 .. height of frames from 0 on, a full-scale sine at 0 dB."""
    window = window_of(window_type, n_window)
    frames = [audio[i * hop : i * hop + n_window] * window for i in range(width)]
    spectra = [np.abs(np.fft.rfft(frame, n_fft))[1 : height + 1] * 2 / window.sum() for frame in frames]
    levels = np.stack(spectra, axis=1)
    levels[n_fft // 2 - 1 :] /= 1 + (n_fft % 2 == 0)  # Nyquist has no mirror image
    return 20 * np.log10(levels)


@pytest.mark.parametrize("window_type", WINDOWS)
@pytest.mark.parametrize(
    ("height", "width", "n_fft", "n_window", "num_samples"),
    [(32, 32, 80, 80, 8000), (32, 64, 128, 64, 16_000), (48, 48, 256, 128, 12_000), (32, 1, 64, 64, 64)],
)
def test_stft_image_matches_numpy_rfft(height, width, n_fft, n_window, num_samples, window_type):
    audio = noise(num_samples)
    hop = (num_samples - n_window) // max(1, width - 1)
    expected = stft_decibels(audio.astype(np.float32), height, width, n_fft, n_window, window_type, hop)
    sizes = {"height": height, "width": width, "n_fft": n_fft, "n_window": n_window, "window_type": window_type}
    np.testing.assert_allclose(decibels_of(audio, **sizes), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("window_type", WINDOWS)
def test_stft_image_matches_scipy_spectrogram(window_type):
    audio = noise()
    _, _, power = scipy.signal.spectrogram(
        audio, FS, window_of(window_type, 100), 100, 60, nfft=256, detrend=False, scaling="spectrum"
    )
    expected = 10 * np.log10(2 * power[1:101, :90])  # scipy reads A^2 / 2 for a sine of amplitude A
    sizes = {"height": 100, "width": 90, "n_fft": 256, "n_window": 100, "hop_length": 40}
    np.testing.assert_allclose(decibels_of(audio, **sizes, window_type=window_type), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("window_type", WINDOWS)
@pytest.mark.parametrize("amplitude", [1.0, 0.1])
def test_sine_at_a_bin_reads_its_level(window_type, amplitude):
    image = decibels_of(sine(10 * FS / 128, amplitude=amplitude), window_type=window_type)
    np.testing.assert_allclose(image[9], 20 * np.log10(amplitude), atol=2e-3)  # row 9 is bin 10
    assert np.all(image.argmax(axis=0) == 9)


@pytest.mark.parametrize("window_type", WINDOWS)
@pytest.mark.parametrize("amplitude", [1.0, 0.1])
@pytest.mark.parametrize("n_window", [128, 50])
def test_a_tone_at_half_the_sample_rate_reads_its_level(window_type, amplitude, n_window):
    tone = amplitude * np.cos(np.pi * np.arange(8000))
    sizes = {"height": 64, "n_fft": 128, "n_window": n_window, "window_type": window_type}
    image = image_of(tone, **sizes, floor_db=-80, ceil_db=0, channels=("magnitude", "stft_32"))
    np.testing.assert_allclose(-80 + 80 * image[:, -1], 20 * np.log10(amplitude), atol=2e-3)


def test_global_scaling_is_linear_between_floor_and_ceiling():
    frequency = 10 * FS / 128
    for level_db, value in [(0, 1.0), (-20, 0.75), (-40, 0.5), (-90, 0.0), (6, 1.0)]:
        image = image_of(sine(frequency, amplitude=10 ** (level_db / 20)), floor_db=-80, ceil_db=0)
        np.testing.assert_allclose(image[0, 9], value, atol=1e-4)


def test_dc_is_dropped():
    assert image_of(np.ones(8000), window_type="rectangular").max() == 0


def test_global_scaling_keeps_the_level_and_per_sample_scaling_loses_it():
    audio = torch.from_numpy(noise())
    both = torch.stack([audio, 0.1 * audio])
    images, ranges = front_end(image_scaling="global", floor_db=-120).double()(both)
    np.testing.assert_allclose(images[0, 0] - images[1, 0], 20 / 120, rtol=1e-9)
    np.testing.assert_array_equal(ranges, [[-120, 0], [-120, 0]])
    images, ranges = front_end(image_scaling="per_sample").double()(both)
    np.testing.assert_allclose(images[0], images[1], atol=1e-9)
    np.testing.assert_allclose(ranges[0] - ranges[1], [20, 20], atol=1e-9)


def test_float32_differs_from_float64_by_rounding():
    audio = noise()
    magnitudes = []
    for dtype in (torch.float32, torch.float64):
        one = front_end(floor_db=-200, ceil_db=60, window_type="rectangular").to(dtype)
        image = one(torch.from_numpy(audio).to(dtype)[None])[0][0, 0].double().numpy()
        magnitudes.append(10 ** ((-200 + 260 * image) / 20))
    # an FFT's error in each bin is at most about eps log2(n) of the frame's norm (Higham, Accuracy and Stability of
    # Numerical Algorithms, section 24.1); 2 / sum(window) scales it. The image then rounds 260 dB to float32
    eps, n_fft = np.finfo(np.float32).eps, 128
    norm = np.sqrt(n_fft) * np.abs(audio).max()
    bound = eps * np.log2(n_fft) * norm * 2 / n_fft + magnitudes[1] * 4 * eps * 260 * np.log(10) / 20
    assert (np.abs(magnitudes[0] - magnitudes[1]) < bound).all()


def test_per_sample_scaling_spans_each_images_own_range():
    audio = noise()
    images, ranges = front_end(image_scaling="per_sample").double()(torch.from_numpy(audio)[None])
    expected = decibels_of(audio)
    low, high = expected.min(), expected.max()
    np.testing.assert_allclose(ranges[0], [low, high], atol=2e-3)
    np.testing.assert_allclose(images[0, 0], (expected - low) / (high - low), atol=1e-8)


def test_pre_emphasis_matches_scipy_lfilter():
    audio = noise().astype(np.float32)
    np.testing.assert_allclose(
        decibels_of(audio, pre_emphasis=0.95),
        decibels_of(scipy.signal.lfilter([1, -0.95], [1], audio.astype(float))),
        atol=2e-3,
    )


@pytest.mark.parametrize("num_samples", [4000, 8000, 8001, 12_345])
@pytest.mark.parametrize("width", [1, 2, 20, 63])
def test_auto_hop_covers_the_whole_clip(num_samples, width):
    one = front_end(num_samples, width=width)
    unseen = num_samples / FS - one.visible_seconds
    assert width == 1 or 0 <= unseen < (width - 1) / FS
    images, _ = one(torch.zeros(2, num_samples))
    assert images.shape == (2, *one.image_shape) == (2, 1, 64, width)


def test_last_frame_of_an_auto_hop_sees_the_end_of_the_clip():
    audio = np.zeros(8000)
    audio[7980] = 1  # the hop is (8000 - 128) // 19 = 414, the last frame 7866 .. 7993
    image = image_of(audio, window_type="rectangular")[0]
    assert np.all(image[:, :-1] == 0) and np.all(image[:, -1] > 0)


def test_explicit_hop_says_how_much_it_shows():
    assert front_end(hop_length=50).visible_seconds == pytest.approx((19 * 50 + 128) / FS)


def test_clips_do_not_depend_on_their_batch():
    audio = torch.from_numpy(noise(5 * 8000)).view(5, 8000)
    one = front_end(channels=ALL_CHANNELS).double()
    together, _ = one(audio)
    for i in range(5):
        np.testing.assert_allclose(one(audio[i : i + 1])[0][0], together[i], atol=1e-10)


def test_bytes_are_rounded_255ths():
    images = torch.tensor([0.0, 0.499 / 255, 0.501 / 255, 0.5, 254.4 / 255, 1.0])
    codes = front_end().to_bytes(images)
    assert codes.dtype == torch.uint8 and codes.tolist() == [0, 0, 1, 128, 254, 255]


def test_mel_image_matches_numpy():
    audio = noise(seed=3).astype(np.float32)
    sizes = {"height": 16, "width": 20, "n_fft": 512, "n_window": 200}
    power = 10 ** (stft_decibels(audio, 256, 20, 512, 200, "hann", (8000 - 200) // 19) / 10)
    expected = 10 * np.log10(mel_triangles(16, 512, FS, 50, 0.9 * FS / 2) @ power)
    image = decibels_of(audio, **sizes, type="mel", freq_min=50, freq_max_ratio=0.9)
    np.testing.assert_allclose(image, expected, rtol=0, atol=2e-3)


def test_mel_rows_of_white_noise_are_level():
    """Rows of unit sum: the mean over bins, not the total, so that wide bands are no louder."""
    image = decibels_of(noise(80_000), type="mel", height=16, width=400, n_fft=512, n_window=512)
    assert np.ptp(10 * np.log10(np.mean(10 ** (image / 10), axis=1))) < 1


def test_temporal_envelope_matches_each_frames_mean_square():
    audio = sine(1000, amplitude=0.5) * np.repeat([1.0, 0.1], 4000)
    image = image_of(audio, channels=("magnitude", "temporal_envelope"), hop_length=400, n_window=80)[1]
    assert np.all(image == image[:1])  # the same in every row
    expected = np.where(np.arange(20) < 10, -6.0206, -26.0206)
    np.testing.assert_allclose(image[0], 1 + expected / 80, atol=1e-5)


def test_spectral_envelope_matches_each_rows_mean_energy():
    audio = sine(10 * FS / 128) * (np.arange(8000) < 4000)
    image = image_of(audio, channels=("magnitude", "spectral_envelope"), hop_length=400)[1]
    assert np.all(image == image[:, :1])  # the same in every column
    np.testing.assert_allclose(image[9, 0], 1 - 3.0103 / 80, atol=1e-5)  # half of the frames: -3 dB
    np.testing.assert_array_equal(image[30:], 0)


@pytest.mark.parametrize("scaling", ["global", "per_sample"])
def test_envelopes_are_scaled_by_themselves(scaling):
    audio, channels = noise(), ("magnitude", "temporal_envelope", "spectral_envelope", "modulation")
    image = image_of(audio, channels=channels, image_scaling=scaling)
    frames = np.lib.stride_tricks.sliding_window_view(audio, 128)[::414]
    np.testing.assert_allclose(image[1, 0], 1 + np.log10(2 * np.mean(frames**2, axis=1)) / 8, atol=1e-5)
    energy = 10 ** (decibels_of(audio) / 10)
    np.testing.assert_allclose(image[2, :, 0], 1 + np.log10(energy.mean(axis=1)) / 8, atol=1e-4)


@pytest.mark.parametrize("offset", [-0.45, 0.0, 0.3])
@pytest.mark.parametrize("bin_number", [5, 20, 50])
def test_instantaneous_frequency_of_a_sine_is_its_distance_from_the_bin(bin_number, offset):
    audio = sine((bin_number + offset) * FS / 128)
    image = image_of(audio, channels=("magnitude", "instantaneous_frequency"))[1]
    np.testing.assert_allclose(image[bin_number - 1], 0.5 + 0.5 * offset, atol=0.005)
    if offset > 0:  # the row above hears the same sine from the other side
        np.testing.assert_allclose(image[bin_number], 0.5 + 0.5 * (offset - 1), atol=0.005)


def test_instantaneous_frequency_of_silence_is_grey():
    assert np.all(image_of(np.zeros(8000), channels=("magnitude", "instantaneous_frequency"))[1] == 0.5)


@pytest.mark.parametrize("window_type", WINDOWS)
@pytest.mark.parametrize("place", [10, 64, 115])
def test_group_delay_of_a_click_is_its_place_in_the_frame(place, window_type):
    audio = np.zeros(8000)
    audio[[3 * 400 + place, 7 * 400 + place]] = [0.5, -1.0]
    image = image_of(audio, channels=("magnitude", "group_delay"), window_type=window_type, hop_length=400)[1]
    np.testing.assert_allclose(image[:, [3, 7]], place / 128, atol=1e-4)
    silent = np.delete(image, [3, 7], axis=1)
    assert np.all(silent == 0.5)


def test_modulation_of_an_am_sine_matches_closed_form():
    """m = 0.5 at 3 periods a picture: column 0 holds the mean, column 6 half of m (the columns are half-periods)."""
    width, hop, periods = 32, 250, 3
    n = np.arange(8000)
    modulator = periods / (width * hop)  # cycles a sample
    audio = sine(16 * FS / 128) * (1 + 0.5 * np.cos(2 * np.pi * modulator * n))
    sizes = {"width": width, "hop_length": hop, "channels": ("magnitude", "modulation")}
    image = image_of(np.pad(audio, (0, 128)), **sizes)[1]
    window = window_of("hann", 128)
    smoothed = abs(np.sum(window * np.exp(2j * np.pi * modulator * np.arange(128)))) / window.sum()
    np.testing.assert_allclose(image[15, 0], 1, atol=1e-3)
    np.testing.assert_allclose(image[15, 2 * periods], 1 + 20 * np.log10(0.25 * smoothed) / 80, atol=1e-3)
    steady = image_of(np.pad(sine(16 * FS / 128), (0, 128)), **sizes)[1]
    assert steady[15, 2 * periods] < image[15, 2 * periods] - 0.3  # 24 dB less without the AM


@pytest.mark.parametrize("n_fft", [32, 64, 200, 512])
def test_further_resolution_matches_numpy_at_the_nearest_bins(n_fft):
    audio = noise().astype(np.float32)
    image = image_of(audio, channels=("magnitude", f"stft_{n_fft}"))[1]
    expected = stft_decibels(audio, n_fft // 2, 20, n_fft, n_fft, "hann", (8000 - n_fft) // 19)
    rows = [max(1, round(row * n_fft / 128)) - 1 for row in range(1, 65)]  # Python rounds half to even, as torch does
    np.testing.assert_allclose(image, np.clip(1 + expected[rows] / 80, 0, 1), atol=1e-4)


def test_further_resolution_drops_dc():
    assert image_of(np.ones(8000), channels=("magnitude", "stft_32"), window_type="rectangular").max() == 0


def test_mel_channels_are_the_mel_mean_of_the_bins():
    """A click's group delay is the same in every bin, so in every mel band too."""
    audio = np.zeros(8000)
    audio[2 * 400 + 50] = 1
    sizes = {"type": "mel", "height": 16, "n_fft": 256, "n_window": 128, "hop_length": 400}
    image = image_of(audio, **sizes, channels=("magnitude", "group_delay"))[1]
    np.testing.assert_allclose(image[:, 2], 50 / 128, atol=1e-4)


SIGNALS = {
    "silence": np.zeros(4000),
    "noise": noise(4000),
    "near_silence": 1e-9 * noise(4000),
    "below_float_squares": 1e-25 * noise(4000),
    "decayed": noise(4000) * np.exp(-np.arange(4000) / 80),
    "constant": np.ones(4000),
    "click": np.eye(1, 4000, 2000)[0],
}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("scaling", ["global", "per_sample"])
@pytest.mark.parametrize("kind", ["stft", "mel"])
def test_images_and_gradients_are_finite(kind, scaling, signal):
    one = front_end(4000, type=kind, height=16, n_fft=256, channels=ALL_CHANNELS, image_scaling=scaling)
    audio = torch.tensor(SIGNALS[signal][None], dtype=torch.float32, requires_grad=True)
    images, ranges = one(audio)
    images.square().sum().backward()
    assert images.shape == (1, len(ALL_CHANNELS), 16, 20) and torch.isfinite(ranges).all()
    assert images.min() >= 0 and images.max() <= 1
    assert torch.isfinite(audio.grad).all()


@pytest.mark.parametrize("kind", ["stft", "mel"])
def test_gradients_match_finite_differences_in_float64(kind):
    sizes = {"type": kind, "height": 4, "width": 3, "n_fft": 32, "n_window": 16, "window_type": "hamming"}
    one = front_end(40, **sizes, channels=(*CHANNELS, "stft_12"), pre_emphasis=0.5).double()
    audio = torch.tensor(noise(40)[None], requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: one(x)[0], (audio,), atol=1e-5)


@pytest.mark.parametrize(
    ("num_samples", "given", "words"),
    [
        (100, {}, ["20 frames of 128 samples do not fit into 100", "spectral.n_window", "synth.duration"]),
        (140, {}, ["20 frames of 128 samples do not fit into 140", "lower spectral.width"]),
        (8000, {"hop_length": 500}, ["spectral.hop_length: 500 needs 9628", "8000", "'auto' or at most 414"]),
        (8000, {"channels": ("magnitude", "stft_16384")}, ["20 frames of 16384", "stft_16384"]),
        (8000, {"type": "mel"}, ["mel band 0", "spectral.n_fft"]),
    ],
)
def test_frames_that_do_not_fit_are_an_error_at_once(num_samples, given, words):
    with pytest.raises(UserError) as raised:
        front_end(num_samples, **given)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_the_hop_an_error_offers_fits():
    assert front_end(8000, hop_length=414).hop_length == 414
    with pytest.raises(UserError):
        front_end(8000, hop_length=415)


@pytest.mark.parametrize("shape", [(8000,), (2, 7999), (2, 1, 8000)])
def test_audio_of_another_shape_names_both_shapes(shape):
    with pytest.raises(ValueError, match=r"\(B, 8000\) expected") as raised:
        front_end()(torch.zeros(shape))
    assert str(shape) in str(raised.value)
