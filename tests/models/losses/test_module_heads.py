"""Heads that are trained by losses of torch.nn: a step makes the loss smaller, and what does not fit says what does."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from src.models.heads.head import HeadConfig
from src.models.heads.multi_head import MultiHead, head_configs
from src.parameters.codec import to_class, to_physical
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests import running

LEVEL = ParameterSpec(name="level", min=-2, max=6, step=0.5)
CUTOFF = ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log")
WAVE = ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical")
TORCH_LOSSES = {
    "level": {"kind": "classification", "loss": {"class_path": "torch.nn.CrossEntropyLoss"}},
    "cutoff": {"loss": {"_target_": "torch.nn.SmoothL1Loss", "beta": 0.1}},
    "wave": {"loss": {"class_path": "torch.nn.BCEWithLogitsLoss"}},
}


def heads_of(configs):
    torch.manual_seed(0)
    space = ParameterSpace([LEVEL, CUTOFF, WAVE])
    return MultiHead(8, space, head_configs(space, configs))


def batch(rows=32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, 8, generator=generator), torch.rand(rows, 3, generator=generator)


def losses_while_training(heads, steps=5):
    features, target = batch()
    optimizer = torch.optim.Adam(heads.parameters(), lr=0.03)
    found = []
    for _ in range(steps):
        losses, _ = heads.losses(heads(features), target)
        heads.total(losses, features).backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(losses.detach())
    return torch.stack(found)


@pytest.mark.parametrize("loss", ["torch.nn.MSELoss", "SmoothL1Loss", "torch.nn.L1Loss", {"class_path": "MSELoss"}])
def test_losses_of_values_train_regression_heads(loss):
    heads = heads_of({"default": {"kind": "regression", "loss": loss}, "wave": {"kind": "regression", "loss": loss}})
    found = losses_while_training(heads)
    assert (found[-1] < found[0]).all()


@pytest.mark.parametrize("loss", ["torch.nn.CrossEntropyLoss", "BCEWithLogitsLoss"])
@pytest.mark.parametrize("kind", ["classification", "ordinal"])
def test_losses_of_levels_train_heads_on_levels(loss, kind):
    loss = {"class_path": loss}
    found = losses_while_training(heads_of({"default": {"kind": kind, "loss": loss}, "wave": {"loss": loss}}))
    assert (found[-1] < found[0]).all()


def test_heads_with_losses_of_torch_have_the_values_of_torch():
    heads = heads_of(TORCH_LOSSES)
    features, target = batch()
    outputs = heads(features)
    losses, terms = heads.losses(outputs, target)
    unit = 1.2 * outputs["cutoff"][:, 0].sigmoid() - 0.1
    expected = [
        nn.CrossEntropyLoss()(outputs["level"], to_class(LEVEL, to_physical(LEVEL, target[:, 0]))),
        nn.SmoothL1Loss(beta=0.1)(unit, target[:, 1]),
        nn.BCEWithLogitsLoss()(outputs["wave"], functional.one_hot(to_class(WAVE, 3 * target[:, 2]), 4).float()),
    ]
    torch.testing.assert_close(losses, torch.stack(expected))
    assert torch.equal(terms, losses.detach())
    assert (losses_while_training(heads)[-1] < losses.detach()).all()


def test_a_one_hot_head_reads_its_logits_as_it_was_trained():
    wave = heads_of(TORCH_LOSSES).heads["wave"]
    raw = torch.tensor([[0.6, 0.3, 0.05, 0.05]]).logit()
    torch.testing.assert_close(wave.distribution(raw), torch.tensor([[0.6, 0.3, 0.05, 0.05]]))


def test_a_weighted_sum_of_modules_trains_a_head_and_its_terms_have_names():
    losses = [{"loss": "torch.nn.MSELoss", "weight": 0.5}, {"loss": {"class_path": "torch.nn.L1Loss"}, "name": "near"}]
    heads = heads_of({"level": {"loss": {"class_path": "WeightedMultiLoss", "init_args": {"losses": losses}}}})
    assert heads.term_names == ["level", "cutoff", "wave", "level/MSELoss", "level/near"]
    found = losses_while_training(heads)[:, 0]
    assert found[-1] < found[0]


@pytest.mark.parametrize(
    ("configs", "words"),
    [
        ({"level": {"loss": "torch.nn.CrossEntropyLoss"}}, ["model.heads.level.loss", "a regression head; give one of ",
                                                            "torch.nn.MSELoss", "torch.nn.SmoothL1Loss"]),
        ({"wave": {"loss": "torch.nn.MSELoss"}}, ["a categorical head; give one of ", "torch.nn.CrossEntropyLoss",
                                                  "torch.nn.BCEWithLogitsLoss"]),
        ({"level": {"loss": "auraloss.time.ESRLoss"}}, ["does not suit a regression head; give one of distance"]),
        ({"level": {"kind": "classification", "loss": "NLLLoss"}}, ["torch.nn.CrossEntropyLoss takes logits"]),
        ({"level": {"loss": {"_target_": "torch.nn.L1Loss", "reduction": "sum"}}}, ["reduction: 'sum' given"]),
        (
            {"level": {"kind": "classification", "loss": {"_target_": "torch.nn.CrossEntropyLoss", "weight": [1, 2]}}},
            ["model.heads.level.loss: CrossEntropyLoss cannot be computed: ", "prediction (2, 17) and target (2,)"],
        ),
        (
            {"level": {"kind": "classification", "loss": {"_target_": "torch.nn.MultiLabelMarginLoss",
                                                          "takes": "levels"}}},
            ["MultiLabelMarginLoss cannot be computed: "],
        ),
        (
            {"level": {"loss": {"_target_": "torch.nn.PoissonNLLLoss", "log_input": "no", "takes": "levels"}}},
            ["does not suit a regression head"],
        ),
    ],
)  # fmt: skip
def test_a_loss_that_does_not_fit_a_head_says_what_does(configs, words):
    with pytest.raises(UserError) as raised:
        heads_of(configs)
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_trying_a_loss_counts_nothing_and_draws_no_random_number():
    config = HeadConfig(kind="classification", loss="evidential_classification")
    space = ParameterSpace([LEVEL])
    torch.manual_seed(3)
    heads = MultiHead(8, space, {"level": config})
    found = torch.rand(())
    assert heads.heads["level"].loss_function.step.item() == 0 and heads.heads["level"].loss_function.training
    torch.manual_seed(3)
    nn.Linear(8, 17)
    assert torch.equal(torch.rand(()), found)


@pytest.mark.parametrize(
    "loss",
    [
        "{class_path: torch.nn.SmoothL1Loss, init_args: {beta: 0.1}}",
        "{_target_: tests.models.losses.test_module_loss.Cube, scale: 2, takes: value}",
        "BCEWithLogitsLoss",
    ],
)
def test_a_run_trains_with_it_from_the_command_line(loss, data_root, saw, tmp_path):
    kind = "classification" if "BCE" in loss else "regression"
    words = (f"model.heads.default.loss={loss}", f"model.heads.default.kind={kind}", "logger=none", "test=false")
    assert 0 < running.run("train", data_root, tmp_path, "trainer.max_epochs=1", *words) < 1
