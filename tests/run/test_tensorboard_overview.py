"""TensorBoard's layout and summary of a run, read back."""

import re
import shlex

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from src.data.info import read_spec
from src.data.vimh_datamodule import VIMHDataModule
from src.models.build import build_model, load_checkpoint
from src.run.tensorboard_overview import layout, summary
from tests import running
from tests.evaluation.datasets import write_every_kind

TEXT, LAYOUT = "run/text_summary", "custom_scalars__config__"


def events_of(output):
    return EventAccumulator(str(output / "tensorboard"), {"tensors": 0, "scalars": 0}).Reload()


def text_of(events):
    (event,) = events.Tensors(TEXT)
    return event.tensor_proto.string_val[0].decode()


def test_each_chart_shows_curves_that_the_run_logs(trained):
    events = events_of(trained.output)
    (event,) = events.Tensors(LAYOUT)
    categories = Layout.FromString(event.tensor_proto.string_val[0]).category
    shown = []
    for pattern in [tag for category in categories for chart in category.chart for tag in chart.multiline.tag]:
        shown += [tag for tag in events.Tags()["scalars"] if re.match(pattern, tag)]
    heads = load_checkpoint(trained.best).spec.space.names
    assert shown == ["train/loss", "val/loss", "val/nmae", *(f"val/{name}_mae" for name in heads)]


def test_the_text_names_data_network_and_the_error_to_undercut(trained, saw):
    text, model = text_of(events_of(trained.output)), load_checkpoint(trained.best)
    weights = sum(weight.numel() for weight in model.parameters())
    assert f"**Dataset** {model.spec.name}: 102 train, 13 val, 13 test" in text
    assert f"SimpleCNN, {weights:,} parameters" in text and "```\npython " in text
    train, val = (np.load(saw / f"{split}_params.npy") for split in ("train", "val"))
    for parameter, error in zip(model.spec.space, np.abs(val - train.mean(axis=0)).mean(axis=0), strict=True):
        row = f"| {parameter.name} | {parameter.describe_range()} | regression | {error:.3g} {parameter.unit} |"
        assert row in text


@pytest.mark.long
def test_a_resumed_run_writes_neither_again(data_root, saw, tmp_path):
    given = ("logger=tensorboard", "callbacks=model_checkpoint")
    running.run("train", data_root, tmp_path, *given, "trainer.max_epochs=1")
    before = text_of(events_of(tmp_path))
    running.run("train", data_root, tmp_path, *given, "trainer.max_epochs=2", f"resume={tmp_path}")
    events = events_of(tmp_path)
    assert text_of(events) == before and len(events.Tensors(LAYOUT)) == 1
    assert [event.step for event in events.Scalars("val/nmae")] == [2, 5]


@pytest.mark.long
def test_names_are_text_and_categories_have_a_share(tmp_path):
    write_every_kind(tmp_path / "data")
    given = (f"data.data_dir={tmp_path}/data", "logger=tensorboard", "callbacks=none", "trainer.max_epochs=1")
    running.run("train", tmp_path, tmp_path / "run", *given, "data.batch_size=8")
    text = text_of(events_of(tmp_path / "run"))
    assert "<script>" not in text and "wave :bomb:" in text and re.search(r"\| \d+ % right \|", text)


def test_tags_are_matched_literally(tmp_path):
    write_every_kind(tmp_path / "data")
    model = build_model(running.plain("train", "model") | {"heads": {}}, read_spec(tmp_path / "data"))
    kind, (pattern,) = layout(model)["validation error of each head"]["gain[/] (<i>dB</i> [red])"]
    assert kind == "Multiline" and re.match(pattern, "val/gain[/]_mae") and not re.match(pattern, "val/gain[/]_mae_2")


def test_a_task_without_parameters_has_its_own_charts(saw):
    model = build_model(running.plain("train", "model", "task=features") | {"heads": {}}, read_spec(saw))
    charts = layout(model)
    assert list(charts["training"]) == ["loss"] and charts["validation error of each head"]


def test_the_command_has_an_argument_a_line_and_can_be_pasted(trained, saw):
    model, data = load_checkpoint(trained.best), VIMHDataModule(saw)
    text = summary(model, data, ["/usr/bin/python", "src/train.py", "seed=1", "tags=[a, b]"])
    command = text.split("```")[1]
    assert command == "\npython src/train.py \\\n  seed=1 \\\n  'tags=[a, b]'\n"
    assert shlex.split(command.replace("\\\n", "")) == ["python", "src/train.py", "seed=1", "tags=[a, b]"]
    assert summary(model, data, ["python", "src/train.py"]).endswith("```\npython src/train.py\n```")
