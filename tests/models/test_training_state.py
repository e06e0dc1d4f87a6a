"""What a training goes on from is checked before a trainer takes it: each fault is one line by its key."""

import copy
import io

import pytest
import torch

from src.data.spec import DatasetSpec
from src.models.build import build_model, read_checkpoint
from src.models.training_state import require_training_state
from src.utils.errors import UserError
from tests import running


@pytest.fixture(scope="module")
def read(trained):
    return read_checkpoint(trained.output / "checkpoints/last.ckpt")


@pytest.fixture(scope="module")
def model(read):
    return build_model(read["model_config"], DatasetSpec.from_dict(read["dataset_spec"]))


@pytest.fixture
def state(read):
    return copy.deepcopy(read)


def refusal(state, model):
    with pytest.raises(UserError) as raised:
        require_training_state(state, model)
    message = str(raised.value)
    assert message.startswith("ckpt_path: ") and message.isprintable() and len(message) <= 2000
    return message


def endless():
    value = []
    value.append(value)
    return value


def shared():
    value = ["x"] * 10
    for _ in range(40):
        value = [value, value]
    return value


def named(state, callback):
    return next(one for key, one in state["callbacks"].items() if key.startswith(callback))


def test_a_state_that_training_left_is_taken_and_changes_nothing(state, model):
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    rng = torch.get_rng_state()
    require_training_state(state, model)
    require_training_state(state, model)
    for name, value in model.state_dict().items():
        assert torch.equal(value.nan_to_num(), weights[name].nan_to_num())
    assert torch.equal(rng, torch.get_rng_state())


def test_a_state_that_was_never_saved_by_a_trainer_is_refused(state, model):
    for key in ("epoch", "global_step", "loops", "callbacks", "optimizer_states", "lr_schedulers", "rng_state"):
        lacking = {name: value for name, value in state.items() if name != key}
        assert f"{key}: " in refusal(lacking, model) and "train again" in refusal(lacking, model)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("epoch", value) for value in (-1, 2**54, 1.5, "x", None, float("nan"))),
        *(("global_step", value) for value in (-1, 2**63, [1])),
        *(("pytorch-lightning_version", value) for value in ("1.9.0", "x", "2", "2." + "1" * 50, "2.0\n", 3, None)),
        *(
            ("loops", value)
            for value in ({"a": "x"}, {"a": [-1]}, {"a": torch.zeros(1)}, [1], {"a": 2**54}, {"a": 0.5})
        ),
        *(("callbacks", value) for value in ({"a": 3}, {3: {}}, {"x" * 501: {}}, {"\x1b[31m": {}}, [])),
        *(
            ("optimizer_states", value)
            for value in ([3], {}, [{"state": {}}], [{"state": {}, "param_groups": [], "x": 1}])
        ),
        *(("lr_schedulers", value) for value in ([3], [{}], [{"base_lrs": [-1.0], "last_epoch": 1}], "x")),
        *(("rng_state", value) for value in (None, 3, [1, 2])),
        *(("train_terms", value) for value in ({"sums": 3}, {"sums": [1.0]}, 3)),
        *(("metrics", value) for value in ({"a": "x"}, {"\x1b": 1.0}, [])),
        *(("epoch_figures", value) for value in ({"a": None}, {"x" * 600: 1.0})),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_key(state, model, key, value):
    assert key in refusal(state | {key: value}, model)


@pytest.mark.parametrize("make", [endless, shared], ids=["endless", "shared"])
@pytest.mark.parametrize("place", ["loops", "callbacks", "optimizer_states"])
def test_states_that_are_endless_when_they_are_written_out_are_refused(state, model, make, place):
    value = {"deep": make()}
    changed = [{"state": {0: value}, "param_groups": []}] if place == "optimizer_states" else {"a": value}
    assert "nested too deep, or too many values" in refusal(state | {place: changed}, model)


@pytest.mark.parametrize("value", ["x" * 10_001, "\x1b[31mred", "a\0b", "\u202e", 2**65, -(2**70)])
def test_texts_and_numbers_in_the_states_of_callbacks_are_short_and_printable(state, model, value):
    assert "is needed" in refusal(state | {"callbacks": {"Mine": {"deep": [{"a": value}]}}}, model)


@pytest.mark.parametrize(
    "keys",
    [
        *(("reset_on_restart",), ("increment_ready",), ("ready", "reset"), ("__class__",)),
    ],
)
def test_the_progress_of_a_loop_replaces_no_method(state, model, keys):
    for place in ("total", "current"):
        changed = copy.deepcopy(state)
        changed["loops"]["fit_loop"]["epoch_loop.batch_progress"][place] |= dict.fromkeys(keys, 1)
        assert "numbers of batches and steps are needed" in refusal(changed, model)


@pytest.mark.parametrize(
    "content",
    [torch.zeros(3, dtype=torch.uint8), torch.zeros(5056), torch.zeros(5056, dtype=torch.int64), torch.zeros(())],
)
def test_a_state_of_other_random_numbers_is_refused(state, model, content):
    assert "rng_state" in refusal(state | {"rng_state": content}, model)


# the optimizer


def optimizer_of(state):
    return state["optimizer_states"][0]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_moments_that_are_not_finite_are_refused(state, model, number):
    optimizer_of(state)["state"][0]["exp_avg"].view(-1)[0] = number
    assert "is not finite; use an earlier checkpoint" in refusal(state, model)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value[:1],
        lambda value: value[None],
        lambda value: value.reshape(-1)[:3],
        lambda value: torch.zeros(1).expand(value.shape),
        lambda value: torch.zeros(1).expand(10**6, 10**4),
        lambda value: value.to_sparse(),
        lambda value: torch.empty(value.shape, device="meta"),
        lambda value: value.to(torch.complex64),
        lambda value: None,
        lambda value: "x",
        lambda value: 1.0,
    ],
    ids=range(11),
)
def test_an_optimizer_that_cannot_make_a_step_is_refused(state, model, change):
    entry = optimizer_of(state)["state"][0]
    entry["exp_avg"] = change(entry["exp_avg"])
    assert "optimizer" in refusal(state, model)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state[
            "state"
        ].clear(),  # the first step would then begin at no moments, with the rates of the last
        lambda state: state["state"][0].pop("exp_avg_sq"),
        lambda state: state["param_groups"].pop(),
        lambda state: state["param_groups"][0]["params"].pop(),
        lambda state: state["param_groups"][0].pop("betas"),
        lambda state: state["param_groups"][0].update(betas="x"),
        lambda state: state["param_groups"][0].update(lr="x"),
        lambda state: state["param_groups"][0].update(lr=None),
        lambda state: state["param_groups"][0].update(eps=[1]),
        lambda state: state["param_groups"][0].update(amsgrad=True),
        lambda state: state["param_groups"][0].update(maximize=True),
        lambda state: state["param_groups"][0].update(params=3),
        lambda state: state.update(param_groups=[]),
    ],
    ids=range(13),
)
def test_a_state_of_another_optimizer_is_refused(state, model, change):
    change(optimizer_of(state))
    if not optimizer_of(state)["state"]:
        return require_training_state(state, model)  # as of a run that has made no step yet
    assert "optimizer" in refusal(state, model)
    return None


def test_a_sharded_state_is_left_to_its_own_trainer(state, model):
    own = optimizer_of(state)
    own["state"] = {f"weight {key}": value for key, value in own["state"].items()}
    require_training_state(state, model)


# the schedule


@pytest.mark.parametrize("name", ["optimizer", "step", "get_lr", "load_state_dict", "observe", "__init__", 3])
def test_a_schedules_state_replaces_no_method(state, model, name):
    state["lr_schedulers"][0][name] = 3
    assert "is not part of a schedule's state" in refusal(state, model)


@pytest.mark.parametrize("value", [{"a": 1}, [{}], [[1]], torch.zeros(2), (3, None, {})])
def test_a_schedules_state_is_plain(state, model, value):
    state["lr_schedulers"][0]["lr_lambdas"] = value
    assert "a number is needed" in refusal(state, model)


@pytest.mark.parametrize(
    "change",
    [
        lambda states: states.clear(),
        lambda states: states.append(states[0]),
        lambda states: states[0].pop("lr_lambdas"),
        lambda states: states[0].update(base_lrs=[0.1]),
        lambda states: states[0].update(base_lrs=[0.1] * 9),
        lambda states: states[0].update(_step_count="x"),
    ],
    ids=["none", "two", "no lambdas", "fewer rates", "more rates", "a text"],
)
def test_a_schedule_that_cannot_make_a_step_is_refused(state, model, change):
    change(state["lr_schedulers"])
    assert "cannot continue" in refusal(state, model)


@pytest.mark.parametrize(("key", "value"), [("scale", "x"), ("warmup", 0), ("bad_epochs", "x"), ("best", "x")])
def test_a_plateau_that_cannot_observe_is_refused(state, read, key, value):
    config = read["model_config"] | {"scheduler": running.plain("train", "model", "scheduler=plateau")["scheduler"]}
    model = build_model(config, DatasetSpec.from_dict(read["dataset_spec"]))
    schedule = model.make_scheduler(model.make_optimizer(), 1000, 100)
    state["lr_schedulers"] = [torch.load(plain(schedule.state_dict()), weights_only=True)]
    require_training_state(state, model)
    state["lr_schedulers"][0] |= {"last_epoch": 10**4, key: value}
    assert "cannot continue" in refusal(state, model)


@pytest.mark.parametrize("multipliers", ["network", 3, [0.1], {"network.*": "x"}, {"nothing.*": 0.1}])
def test_multipliers_with_which_no_optimizer_can_be_made_are_refused(state, read, multipliers):
    config = read["model_config"] | {"lr_multipliers": multipliers}
    model = build_model(config, DatasetSpec.from_dict(read["dataset_spec"]))
    assert "cannot continue" in refusal(state, model)


def plain(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    buffer.seek(0)
    return buffer


# callbacks


@pytest.mark.parametrize("score", [torch.zeros(2), "x", [1], {}, torch.zeros(0)])
def test_the_scores_of_callbacks_are_numbers(state, model, score):
    for callback, key in (("EarlyStopping", "best_score"), ("ResumableCheckpoint", "kth_value")):
        changed = copy.deepcopy(state)
        named(changed, callback)[key] = score
        assert "a number is needed" in refusal(changed, model)
    named(state, "ResumableCheckpoint")["best_k_models"] = {"/a/best.ckpt": score}
    assert "a number is needed" in refusal(state, model)


@pytest.mark.parametrize("count", [-1, "x", None, 1.5, 2**60])
def test_the_counts_of_callbacks_count(state, model, count):
    for callback, key in (("EarlyStopping", "wait_count"), ("NonFiniteGuard", "_count")):
        changed = copy.deepcopy(state)
        named(changed, callback)[key] = count
        assert "a whole number is needed" in refusal(changed, model)
