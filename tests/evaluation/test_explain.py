"""Explanations: the bands that matter, the pictures, and what predict writes."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from PIL import Image

from src.data.images.digits import DigitsDataModule
from src.data.info import read_spec
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec, Origin
from src.evaluation import explain as explaining
from src.evaluation import explain_sounds
from src.evaluation.explain import explain, half_of
from src.evaluation.explain_sounds import explain_dataset
from src.evaluation.explanation_plot import explanation_figure
from src.evaluation.image_axes import pixel_edges
from src.evaluation.plots import save_figure
from src.evaluation.rerender import rendering_source
from src.models.build import build_model, load_checkpoint
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.spectral.audio_file import write_clip
from src.spectral.config import SpectralConfig
from src.spectral.mel import mel_centres
from tests import running
from tests.evaluation.datasets import write_every_kind


@given(strategies.lists(strategies.integers(0, 100), min_size=1, max_size=12).filter(any))
def test_half_of_is_the_shortest_range_with_half_of_the_sum(weights):
    first, end = half_of(np.array(weights, np.float32))
    assert 2 * sum(weights[first:end]) >= sum(weights)
    shorter = end - first - 1
    assert all(2 * sum(weights[at : at + shorter]) < sum(weights) for at in range(len(weights)))


def spec_of(shape, **spectral):
    config = SpectralConfig(height=shape[1], width=shape[2], n_fft=256, n_window=256, hop_length=128, **spectral)
    space = ParameterSpace([ParameterSpec(name="cutoff", min=50, max=5000)])
    return DatasetSpec("t", Inputs(shape), space, Origin(8000.0, 0.5, spectral=config))


def test_edges_of_rows_are_between_bins_or_bands():
    rows, frames, units = pixel_edges(spec_of((1, 8, 10)), (8, 10))
    np.testing.assert_allclose(rows, (np.arange(9) + 0.5) * 8000 / 256)  # row 0 is bin 1
    np.testing.assert_allclose(frames, (np.arange(11) * 128 + 64) / 8000)  # a frame is centred on its window
    assert units == ("Hz", "s")
    rows, _, _ = pixel_edges(spec_of((1, 8, 10), type="mel", freq_min=50.0), (8, 10))
    centres = mel_centres(8, 50.0, spec_of((1, 8, 10)).origin.spectral.freq_max_ratio * 4000)
    assert (rows[:-1] < centres).all() and (centres < rows[1:]).all() and len(rows) == 9
    assert pixel_edges(DatasetSpec("t", Inputs((1, 2, 3)), None), (2, 3))[2] == ("row", "frame")


def test_the_band_is_where_the_model_looks(monkeypatch):
    model = build_model(running.plain("train", "model") | {"heads": {}}, spec_of((1, 32, 16))).eval()
    gradients = torch.zeros(1, 1, 32, 16)
    gradients[0, 0, 8:10, 3:5] = torch.tensor([1.0, -1.0])  # rows 8 and 9 are bins 9 and 10
    complete = explaining.complete_gradients

    def looking(*arguments):
        found = complete(*arguments)
        return type(found)(gradients, found.scores, found.baseline_scores)

    monkeypatch.setattr(explaining, "complete_gradients", looking)
    assert explain(model, torch.rand(1, 1, 32, 16), None).bands == ["266 to 297 Hz, 0.06 to 0.07 s"]
    gradients.zero_()
    assert explain(model, torch.rand(1, 1, 32, 16), None).bands == ["no pixel matters"]


def explained(trained, data_root, output, caplog, *given):
    with caplog.at_level(logging.INFO):
        running.run("predict", data_root, output, f"ckpt_path={trained.best}", "explain=true", *given)
    return [line for line in caplog.messages if "half of what matters" in line]


@pytest.fixture(scope="module")
def clip(saw):
    return rendering_source(read_spec(saw)).synth.render(np.load(saw / "test_params.npy")[:1])[:, 0]


def test_predict_writes_a_picture_beside_the_sounds_and_logs_the_bands(trained, data_root, clip, tmp_path, caplog):
    write_clip(tmp_path / "one.wav", clip, 8000)
    lines = explained(trained, data_root, tmp_path / "out", caplog, f"input={tmp_path}/one.wav")
    names = load_checkpoint(trained.best).spec.space.names
    assert [line.split(": ")[:2] for line in lines] == [["one_explained.png", name] for name in names]
    assert all(line.endswith(" s") and " Hz, " in line for line in lines)
    picture = Image.open(tmp_path / "out/one_explained.png").convert("RGB")
    assert picture.width == 990 and len(picture.getcolors(1 << 20)) > 100
    assert {path.name for path in (tmp_path / "out").glob("one*")} == {
        *("one_explained.png", "one_input.wav", "one_predicted.wav")
    }


def test_without_rendering_and_in_segments_there_is_one_for_each(trained, data_root, clip, tmp_path, caplog):
    write_clip(tmp_path / "two.wav", np.tile(clip, 2), 8000)
    given = (f"input={tmp_path}/two.wav", "segment=fixed", "render=false")
    explained(trained, data_root, tmp_path / "out", caplog, *given)
    assert {path.name for path in (tmp_path / "out").glob("two*")} == {
        *("two_0.000s_explained.png", "two_1.000s_explained.png")
    }


@pytest.mark.long
def test_the_first_images_of_a_dataset_of_every_kind_of_parameter(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(explain_sounds, "EXPLAINED", 2)
    write_every_kind(tmp_path / "data")
    model = build_model(running.plain("train", "model") | {"heads": {}}, read_spec(tmp_path / "data")).eval()
    with caplog.at_level(logging.INFO):
        explain_dataset(model, tmp_path / "data", tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {f"test_{row}_explained.png" for row in range(2)}
    assert "explained the first 2 of 30 test images" in caplog.messages
    assert any("wave :bomb:: half of what matters is in rows " in line for line in caplog.messages)


def test_digits_are_explained_by_rows_and_columns(tmp_path):
    pytest.importorskip("sklearn")
    data = DigitsDataModule(batch_size=8)
    model = build_model(running.plain("train", "model", "experiment=digits"), data.spec).eval()
    image = data.dataset("test").__getitems__([0])["image"] / 255.0
    found = explain(model, image, None)
    assert found.gradients.shape == (1, 8, 8) and found.bands[0].startswith("rows ")
    figure = explanation_figure(data.spec, found)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[0] == "first channel" and titles[2].startswith(f"digit: {int(found.values[0])}\nhalf in rows ")
    save_figure(figure, tmp_path / "digit.png")


def test_maps_of_several_channels_are_summed_and_transformers_have_one_picture_each(tmp_path):
    shape = (2, 32, 16)
    model = build_model(
        running.plain("train", "model", "model=vit_tiny") | {"heads": {}},
        spec_of(shape, channels=("magnitude", "temporal_envelope")),
    ).eval()
    found = explain(model, torch.rand(1, *shape), None)
    assert found.cams is None and found.gradients.shape == (1, 32, 16) and found.image.shape == shape
    titles = [axis.get_title() for axis in explanation_figure(model.spec, found).axes]
    assert titles[0] == "magnitude (the maps are sums over 2 channels)"
    assert not any("Grad-CAM" in title for title in titles)


def test_a_model_without_parameters_is_refused_in_one_line(data_root, saw, tmp_path, caplog):
    running.run("train", data_root, tmp_path / "run", "task=features", "trainer.max_epochs=1")
    given = (f"ckpt_path={tmp_path}/run/checkpoints/best.ckpt", f"input={saw}", "explain=true")
    line = running.fault(caplog, "predict", data_root, tmp_path / "out", *given)
    assert line == "explain: true given, but this model predicts no parameters; give explain=false"
