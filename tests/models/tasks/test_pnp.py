"""The perceptual-neural-physical loss against a quadratic form from derivatives of its own."""

import numpy as np
import pytest
import torch

from src.data.info import read_spec
from src.data.origin import source_of
from src.data.vimh_dataset import VIMHDataset
from src.models.tasks.pnp import PNPTask
from src.utils.errors import UserError
from tests import running
from tests.models.tasks.test_render import HEADS, outputs_at


def task_of(saw, **options):
    task = PNPTask(4, read_spec(saw), HEADS, **options)
    task.prepare(())
    return task


def batch_of(saw, count):
    return VIMHDataset(saw, "train").__getitems__(range(count))


def quadratic_form(source, label, error, damping):
    """Return e^T (J^T J / trace + damping I / P) e / 2 at a label (P,), in float64."""
    size = 1e-3

    def image(unit):
        return source.float_images(source.synth.space.denormalize(unit[None]))[0].astype(np.float64).ravel()

    columns = []
    for at in range(len(label)):
        low, high = label.copy(), label.copy()
        low[at], high[at] = max(0.0, label[at] - size), min(1.0, label[at] + size)
        columns.append((image(high) - image(low)) / (high[at] - low[at]))
    squared = np.array(columns) @ np.array(columns).T
    matrix = squared / np.trace(squared) + damping * np.eye(len(label)) / len(label)
    return 0.5 * error @ matrix @ error


@pytest.mark.parametrize("damping", [0.0, 0.5])
def test_the_loss_is_the_mean_quadratic_form_of_the_errors(saw, damping):
    task, batch, source = task_of(saw, damping=damping), batch_of(saw, 5), source_of(read_spec(saw))
    unit = (batch["target"] + torch.tensor([0.05, -0.03])).clamp(0.0, 1.0)
    found = task.measure_added(outputs_at(task, unit), batch).item()
    labels, errors = batch["target"].double().numpy(), (unit - batch["target"]).double().numpy()
    forms = [quadratic_form(source, *pair, damping) for pair in zip(labels, errors, strict=True)]
    assert found == pytest.approx(np.mean(forms), rel=0.02)


def test_the_gradient_is_the_matrix_times_the_error(saw):
    task, batch = task_of(saw), batch_of(saw, 3)
    unit = 0.8 * batch["target"] + 0.1
    raw = outputs_at(task, unit)
    task.measure_added(raw, batch).backward()
    error = (unit - batch["target"]).double()
    slope = 1.2 * ((unit + 0.1) / 1.2) * (1 - (unit + 0.1) / 1.2)  # of the stretched sigmoid
    wanted = torch.einsum("bpq,bq->bp", task.matrices(batch["target"]).double(), error) * slope / 3
    found = torch.cat([values.grad for values in raw.values()], dim=1)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-7)


def test_each_label_is_measured_once(saw, monkeypatch):
    task, batch = task_of(saw), batch_of(saw, 6)
    first = task.matrices(batch["target"][:4])
    rendered = []
    monkeypatch.setattr(task, "_images", lambda unit, render=task._images: rendered.append(len(unit)) or render(unit))
    both = task.matrices(batch["target"])
    assert torch.equal(both[:4], first) and sum(rendered) == 2 * 2 * 2  # two labels, two sides, two parameters
    assert torch.equal(task.matrices(batch["target"]), both) and sum(rendered) == 8
    fresh = task_of(saw).matrices(batch["target"].flip(0)).flip(0)
    assert torch.equal(fresh, both)  # a function of the label, so a resumed run continues exactly


def test_the_matrices_are_symmetric_and_of_one_size(saw):
    matrices = task_of(saw, damping=0.25).matrices(batch_of(saw, 8)["target"])
    torch.testing.assert_close(matrices, matrices.mT)
    torch.testing.assert_close(matrices.diagonal(dim1=1, dim2=2).sum(dim=1), torch.full((8,), 1.25))


@pytest.mark.parametrize(
    ("options", "cause"), [({"damping": -1}, "model.task.damping: -1 given"), ({"weight": True}, "model.task.weight")]
)
def test_invalid_options_are_one_line(saw, options, cause):
    with pytest.raises(UserError, match=cause):
        PNPTask(4, read_spec(saw), HEADS, **options)


@pytest.mark.long
def test_a_run_learns(data_root, tmp_path, saw):
    running.run("train", data_root, tmp_path, "loss=pnp", "data.batch_size=17", "trainer.max_epochs=6", "test=false")
    rows = next(tmp_path.rglob("metrics.csv")).read_text().splitlines()
    column = rows[0].split(",").index("val/pnp_loss")
    losses = [float(row.split(",")[column]) for row in rows[1:] if row.split(",")[column]]
    assert losses[-1] < 0.7 * losses[0]
