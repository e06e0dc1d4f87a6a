"""The answers of the app are those of the functions that the commands call, and nothing is left on disk."""

import base64
import io
import tempfile

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from src.evaluation.app.session import MOST_SECONDS, middle, open_session, wav
from src.evaluation.explain import explain
from src.evaluation.predict import clip_image, predict_clip
from src.evaluation.reports.explanations import explanation_data
from src.utils.errors import UserError
from tests import running


def samples_of(content):
    return soundfile.read(io.BytesIO(content), dtype="float32")


def answer_of(session, sound):
    prediction = predict_clip(session.model, session.front_end, sound, "sound")
    return dict(zip(session.model.spec.space.names, prediction.values.tolist(), strict=True)), prediction


def segmentation(**keys):
    return OmegaConf.merge(running.composed("predict"), keys)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The folder for temporary files, which must be empty afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.iterdir())


def test_a_prediction_is_that_of_the_command(session, clip, scratch):
    found = session.predict(clip, None)
    sound, rate = samples_of(clip)
    values, prediction = answer_of(session, sound)
    assert found["values"] == pytest.approx(values)
    assert list(found["low_90"].values()) == pytest.approx(prediction.low_90.tolist())
    assert list(found["high_90"].values()) == pytest.approx(prediction.high_90.tolist())
    received, received_rate = samples_of(base64.b64decode(found["sound"]))
    assert received_rate == rate == session.front_end.sample_rate and found["notes"] == []
    np.testing.assert_array_equal(received, sound)
    levels = np.frombuffer(base64.b64decode(found["image"]["levels"]), np.uint8).reshape(found["image"]["shape"])
    np.testing.assert_array_equal(levels, np.rint(255 * clip_image(session.front_end, sound)[0][0].numpy()))


def test_every_change_to_a_sound_is_told(session, clip, scratch):
    sound, rate = samples_of(clip)
    stereo = np.stack([np.repeat(sound[: rate // 2], 2), np.zeros(rate)], axis=1)
    found = session.predict(_file(stereo, 2 * rate), "left")
    assert [note.split(",")[0] for note in found["notes"]] == [
        "sound: resampled from 16000 to 8000 Hz",
        "sound: 0.500 s long",
    ]
    with pytest.raises(UserError, match=r"^sound: 2 channels, but the model needs one; give channel=mix"):
        session.predict(_file(stereo, 2 * rate), None)


def _file(sound, rate):
    content = io.BytesIO()
    soundfile.write(content, sound, rate, format="FLAC")
    return content.getvalue()


def test_the_sound_of_values_is_that_of_the_synth_and_its_level_is_kept(session, values, clip):
    np.testing.assert_allclose(samples_of(session.render(values))[0], samples_of(clip)[0], atol=1e-6)
    loud, _ = samples_of(wav(np.array([0.0, 1.5, -2.0], np.float32), 8000))
    assert loud.tolist() == [0.0, 1.5, -2.0]


def test_the_model_hears_the_sound_of_the_values(session, values, clip):
    found = session.hear(values)
    assert found["values"] == pytest.approx(answer_of(session, samples_of(clip)[0])[0], rel=1e-4)


def test_refining_brings_the_images_closer(session, clip, scratch):
    network, found = session.predict(clip, None), session.predict(clip, None, refined=True)
    how = found["refinement"]
    assert how["network"] == pytest.approx(network["values"])
    assert how["rms_after"] < how["rms_before"] and how["iterations"] >= 1


def test_an_explanation_is_that_of_the_image_and_leaves_the_model_as_it_is(session, clip, scratch):
    found = session.explain(clip, None)
    expected = explain(session.model, *clip_image(session.front_end, samples_of(clip)[0]))
    assert found == explanation_data(session.model, expected) | {"notes": []}
    assert not any(part._forward_hooks for part in session.model.modules())
    with pytest.raises(UserError, match=r"^sound: not a sound file"):
        session.explain(b"rubbish", None)


def test_segments_are_predicted_and_heard(session, clip, scratch):
    sound, rate = samples_of(clip)
    found = session.segment(wav(np.tile(sound, 3), rate), None, segmentation(segment="fixed"))
    assert [one["times"] for one in found["segments"]] == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]
    for one in found["segments"]:
        assert one["values"] == pytest.approx(session.predict(clip, None)["values"])
    np.testing.assert_array_equal(samples_of(base64.b64decode(found["sound"]))[0], np.tile(sound, 3))
    assert len(samples_of(base64.b64decode(found["predicted"]))[0]) == 3 * rate


def test_what_cannot_be_cut_is_one_line(session, scratch):
    long = wav(np.zeros(1000 * (MOST_SECONDS + 1), np.float32), 1000)
    with pytest.raises(UserError, match=r"^sound: longer than 120 s, or of unknown length; cut it"):
        session.segment(long, None, segmentation(segment="fixed"))
    with pytest.raises(UserError, match=r"^sound: silent \(below -80 dB\); raise its level$"):
        session.segment(wav(np.zeros(8000, np.float32), 8000), None, segmentation(segment="fixed"))
    with pytest.raises(UserError, match=r"^segment: 'often' given; "):
        session.segment(b"", None, segmentation(segment="often"))


def test_without_a_trusted_voice_sounds_are_predicted_and_the_reason_is_told(trained, clip, monkeypatch):
    def refuse(spec, trust):
        raise UserError("saw_moog: not trusted")

    monkeypatch.setattr("src.evaluation.app.session.source_of", refuse)
    session = open_session(trained.best)
    described = session.describe()
    assert described["not_rendered"] == described["not_refined"] == "saw_moog: not trusted"
    assert session.predict(clip, None)["values"]
    for task in (session.render, session.hear):
        with pytest.raises(UserError, match="not trusted"):
            task(described["middle"])
    with pytest.raises(UserError, match="not trusted"):
        session.predict(clip, None, refined=True)


def test_the_middle_of_a_range_is_on_its_scale_and_its_grid(session):
    space = session.model.spec.space
    specs = [
        spec.model_copy(update={"min": 1.0, "max": 100.0, "step": 1.0, "scale": "log"})
        if at == 0
        else spec.model_copy(update={"min": 0.0, "max": 3.0, "step": 1.0, "kind": "ordinal"})
        for at, spec in enumerate(space)
    ]
    assert list(middle(type(space)(specs)).values()) == pytest.approx([10.0, 2.0])


def test_the_description_is_complete(session):
    described = session.describe()
    names = [one["name"] for one in described["parameters"]]
    assert names == list(session.model.spec.space.names) == list(described["middle"])
    assert described["calibrated_on"] == 13 and described["sample_rate"] == 8000 and described["seconds"] == 1.0
