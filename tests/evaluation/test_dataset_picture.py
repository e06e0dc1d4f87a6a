"""The picture of a dataset shows Hz, seconds and dB, and says what it shows."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from src.data.generate import generate
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.dataset_picture import dataset_figure
from src.spectral.mel import hz_to_mel
from tests.data.conftest import tiny_recipe


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return generate(tiny_recipe(), tmp_path_factory.mktemp("data"))[0]


def figure_of(directory, count=6, spec=None, scale=None):
    dataset = VIMHDataset(directory)
    batch = dataset.__getitems__(range(count))
    values = (spec or dataset.spec).space.denormalize(dataset.targets()[:count])
    given = batch["scale"].numpy() if scale is None else scale
    return dataset_figure(spec or dataset.spec, batch["image"].numpy(), values, given), batch


def images_of(figure):
    return [axis.images[0] for axis in figure.axes if axis.images]


def test_axes_are_hertz_and_seconds_and_colours_are_decibels(tiny):
    figure, batch = figure_of(tiny)
    panels = images_of(figure)
    assert len(panels) == 6
    # 8 rows of 100 Hz from bin 1 on; 6 frames of 80 samples, 144 apart, drawn about their middles
    left, right, bottom, top = panels[0].get_extent()
    assert (bottom, top) == (50, 850)
    assert (left, right) == pytest.approx(((40 - 72) / 8000, (40 - 72 + 6 * 144) / 8000))
    assert panels[0].get_clim() == (-80, 0)
    np.testing.assert_allclose(panels[2].get_array(), batch["image"][2, 0].numpy() / 255 * 80 - 80, atol=1e-5)
    texts = {text.get_text() for axis in figure.axes for text in (axis.xaxis.label, axis.yaxis.label)}
    assert texts >= {"time (s)", "frequency (Hz)", "dB re full scale"}
    assert "tiny: magnitude of the first 6 training sounds" in figure.get_suptitle()
    assert figure.axes[0].get_title().startswith("note_velocity ") and "filter_cutoff " in figure.axes[0].get_title()


def test_scaling_by_sample_is_undone(tmp_path):
    directory, _ = generate(tiny_recipe(**{"spectral.image_scaling": "per_sample"}), tmp_path)
    figure, batch = figure_of(directory)
    scale = batch["scale"].numpy()
    for panel, (low, high) in zip(images_of(figure), scale, strict=True):
        assert (panel.get_array().min(), panel.get_array().max()) == pytest.approx((low, high), abs=1e-4)
        assert panel.get_clim() == pytest.approx((scale.min(), scale.max()))


def test_mel_bands_are_named_by_their_centres(tmp_path):
    mel = {"type": "mel", "n_fft": 512, "n_window": 512}
    directory, _ = generate(tiny_recipe(**{f"spectral.{key}": value for key, value in mel.items()}), tmp_path)
    figure, _ = figure_of(directory)
    ticks, labels = figure.axes[0].get_yticks(), figure.axes[0].get_yticklabels()
    centres = hz_to_mel(np.array([float(label.get_text()) for label in labels]))
    np.testing.assert_allclose(centres, (ticks + 1) * hz_to_mel(4000) / 9, rtol=0.002)


@pytest.mark.parametrize("unknown", [{"spectral": None}, {"duration": None}, {"duration": 0.001}])
def test_what_a_foreign_dataset_does_not_tell_is_counted(tiny, unknown):
    spec = VIMHDataset(tiny).spec
    spec = replace(spec, origin=replace(spec.origin, **unknown))
    figure, _ = figure_of(tiny, 2, spec, np.zeros((2, 2), np.float32))
    panel = images_of(figure)[0]
    assert panel.get_extent() == [-0.5, 5.5, -0.5, 7.5] and panel.get_clim() == (0, 255)
    texts = {text.get_text() for axis in figure.axes for text in (axis.xaxis.label, axis.yaxis.label)}
    assert texts >= {"frame", "row", "byte level"}


def test_names_are_text_and_categories_have_names(tmp_path):
    parameters = {"filter_enabled": {"values": ["by$pass$", "on"]}, "note_velocity": {"min": 64, "max": 127}}
    changes = {"synth.parameters": parameters | {"filter_cutoff": {"value": 300}}}
    directory, _ = generate(tiny_recipe(**changes), tmp_path)
    figure, _ = figure_of(directory, 12)
    titles = [axis.get_title() for axis in figure.axes if axis.images]
    assert {title.split("   ")[0] for title in titles} == {"filter_enabled by$pass$", "filter_enabled on"}
    figure.set_layout_engine("none")  # takes most of the time, and where things are is not tested
    figure.savefig(tmp_path / "picture.png", dpi=40)
    plt.close(figure)
