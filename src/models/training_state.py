"""Check the training state in a checkpoint before a trainer continues from it."""

import copy
import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from torch import Tensor

from src.models.checkpoint_schema import require_tensors
from src.models.schedules import Plateau
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError, first_line, printable, shown
from src.utils.invalid import describe

_MOST = 2**53
_DEEPEST = 12
_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_PLAIN = (bool, int, float, str, type(None))
_PROGRESS = {"ready", "started", "processed", "completed"}  # what Lightning counts of batches, steps and epochs
_SCORES = ("best_score", "best_model_score", "current_score", "kth_value")  # in the states of callbacks
_CALLBACK_COUNTS = ("wait_count", "stopped_epoch", "stopping_reason", "_count", "_last_step")


def _check_states(states: dict[str, Any]) -> dict[str, Any]:
    """Return states of plain values, containers and tensors; raise ValueError for huge or infinite states."""
    pending, count = [(states, 0)], 0
    while pending:
        item, depth = pending.pop()
        count += 1
        if count > 200_000 or depth > _DEEPEST:
            raise ValueError("nested too deep, or too many values")
        if isinstance(item, dict):
            pending += [(inner, depth + 1) for inner in item.values()]
        elif isinstance(item, list | tuple | set):
            pending += [(inner, depth + 1) for inner in item]
        elif isinstance(item, int) and abs(item) > 2**64:
            raise ValueError(f"{shown(item)} given; a smaller number is needed")
        elif isinstance(item, str) and (len(item) > 10_000 or not item.replace("\n", "").isprintable()):
            raise ValueError(f"{shown(item)} given; a short printable text is needed")  # some texts are logged
    return states


def _check_printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return name


def _check_loops(loops: dict[str, Any]) -> dict[str, Any]:
    """Return the progress of Lightning's loops; raise ValueError for anything but counts and switches."""
    pending = [loops]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending += item.values()
            for key in ("total", "current"):  # their keys become attributes
                if key in item and not (isinstance(item[key], dict) and set(item[key]) <= _PROGRESS):
                    raise ValueError(f"{key}: {shown(item[key])} given; numbers of batches and steps are needed")
        elif isinstance(item, list | tuple):
            pending += item
        elif item is not None and not (isinstance(item, int) and 0 <= item <= _MOST):
            raise ValueError(f"{shown(item)} given; numbers of batches and steps are needed")
    return loops


def _check_no_method(state: Any) -> dict[str, Any]:
    """Return a schedule's state, which becomes its attributes; raise ValueError if it would replace a method."""
    if not isinstance(state, dict):
        raise ValueError(f"{shown(state)} given; keys and values are needed")
    for key, value in state.items():
        if not isinstance(key, str) or key == "optimizer" or callable(getattr(Plateau, key, None)):
            raise ValueError(f"{shown(key)} is not part of a schedule's state")
        for item in value if isinstance(value, list | tuple) else [value]:
            if not isinstance(item, _PLAIN):
                raise ValueError(f"{key}: {shown(item)} given; a number is needed")
    return state


def _check_callback(state: dict[Any, Any]) -> dict[Any, Any]:
    """Return a callback's state; ValueError for scores that are not numbers and counts that do not count."""
    scores = {key: state[key] for key in _SCORES if key in state}
    models = state.get("best_k_models", {})
    if isinstance(models, dict):
        scores |= {f"best_k_models.{path}": score for path, score in models.items()}
    for key, score in scores.items():
        number = score.item() if isinstance(score, Tensor) and score.numel() == 1 else score
        if number is not None and not isinstance(number, int | float):
            raise ValueError(f"{printable(key, 80)}: {shown(score)} given; a number is needed")
    for key in _CALLBACK_COUNTS:
        if key in state and not (isinstance(state[key], int) and 0 <= state[key] <= _MOST):
            raise ValueError(f"{key}: {shown(state[key])} given; a whole number is needed")
    return state


Name = Annotated[str, Field(max_length=500), AfterValidator(_check_printable)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Rate = Annotated[float, Field(ge=0, lt=math.inf)]
Finite = BeforeValidator(_check_states)  # comes last in each type: pydantic begins with the last one


class _Schedule(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=True)

    base_lrs: list[Rate]
    last_epoch: Count


class _Optimizer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: Annotated[dict[int | str, dict[str, Any]], Finite]
    param_groups: Annotated[list[dict[str, Any]], Field(max_length=10_000)]


class _TrainingState(BaseModel):
    """The state that Lightning and this project's module save; each callback's state has its own form."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, populate_by_name=True)

    epoch: Count
    global_step: Count
    version: str = Field(alias="pytorch-lightning_version", pattern=r"^[2-9]\.[0-9]+(\.[0-9a-z]+)*$", max_length=40)
    loops: Annotated[dict[str, Any], AfterValidator(_check_loops), Finite]
    callbacks: Annotated[
        dict[Name, Annotated[dict[Any, Any], AfterValidator(_check_callback)]], Field(max_length=200), Finite
    ]
    optimizer_states: list[_Optimizer]
    lr_schedulers: list[Annotated[_Schedule, BeforeValidator(_check_no_method)]]
    rng_state: Tensor
    metrics: dict[Name, float] = {}
    epoch_figures: dict[Name, float] = {}
    train_terms: dict[Name, Tensor] = {}


def require_training_state(checkpoint: Mapping[str, Any], model: VIMHLitModule) -> None:
    """Raise UserError, with the key, unless training of this model can continue from a checkpoint."""
    own = torch.get_rng_state()
    try:
        state = _TrainingState.model_validate(checkpoint)
    except ValidationError as error:
        raise UserError(f"ckpt_path: has no valid training state ({describe(error)}); train again") from error
    if state.rng_state.shape != own.shape or state.rng_state.dtype != own.dtype:
        raise UserError("ckpt_path: rng_state is not a state of torch's random numbers; train again")
    for optimizer in state.optimizer_states:
        tensors = {
            f"{name}.{key}": value
            for name, entries in optimizer.state.items()
            for key, value in entries.items()
            if isinstance(value, Tensor)
        }
        require_tensors(tensors, "ckpt_path: optimizer_states")
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise UserError(f"ckpt_path: optimizer_states.{name} is not finite; use an earlier checkpoint")
    _rehearse_step(model, checkpoint["optimizer_states"], checkpoint["lr_schedulers"])


def _rehearse_step(model: VIMHLitModule, states: list[dict[str, Any]], schedules: list[dict[str, Any]]) -> None:
    """Raise UserError if an optimizer of a copy of the model, and its schedule, cannot make a step from their states.

    The state of a sharded model has the weights' names as keys, and only its trainer can check it.
    """
    if len(states) != 1 or any(isinstance(key, str) for key in states[0]["state"]):
        return
    trial = copy.deepcopy(model)
    try:
        optimizer = trial.make_optimizer()
        groups = optimizer.param_groups
        switches = [{key: value for key, value in group.items() if isinstance(value, bool)} for group in groups]
        schedule = trial.make_scheduler(optimizer, total_steps=1000, steps_per_epoch=100)
        optimizer.load_state_dict(states[0])
        for group, own in zip(optimizer.param_groups, switches, strict=True):
            if any(group.get(key) is not value for key, value in own.items()):
                raise ValueError("its switches belong to another optimizer")
            group |= {key: False for key in ("capturable", "fused") if key in group}  # the copy is on the CPU
        for parameter in trial.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step(lambda: 0.0)
        for one, state in zip([schedule] if schedule else [], schedules, strict=True):
            one.load_state_dict(state)
            one.step()
            if isinstance(one, Plateau):
                one.observe(math.inf)  # no improvement
    except _FAULTS as error:
        cause = printable(first_line(error), 200)
        raise UserError(f"ckpt_path: its optimizer cannot continue ({cause}); train again") from error
