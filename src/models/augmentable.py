"""Refuse transforms of training images that a dataset, a task or a head cannot take."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from src.data.augment.augmentation import Augmentation
from src.data.augment.confounding import Imitation, measure_imitations
from src.data.augment.level_label import LevelLabel, find_level_label
from src.data.augment.mix import Mix
from src.data.augment.sound import Gain
from src.data.augment.transform import Transform
from src.data.origin import source_of
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.models.tasks.parameters import ParametersTask
from src.models.tasks.task import Task
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError, did_you_mean

log = logging.getLogger(__name__)

_MOST_EXPLAINED = 0.5  # of a transform's change by changes of parameters; a gain reaches 1, masks 0.15
_MOST_MOVED = 0.05  # of a range: smaller moves of a label are not refused


@dataclass(frozen=True)
class Verdict:
    """Whether a transform can be used: not with a `fault`, nor while it has `heads` whose labels would be wrong.

    `explained` is the share of its change that changes of parameters explain, None if that was not measured.
    """

    fault: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)  # the cause for each
    explained: float | None = None

    @property
    def causes(self) -> str:
        """The causes, each with its heads, on one line."""
        heads: dict[str, list[str]] = {}
        for head, cause in self.heads.items():
            heads.setdefault(cause, []).append(head)
        return "; ".join(f"{', '.join(named)}: {cause}" for cause, named in heads.items())


def require_augmentable(
    augmentation: Augmentation, spec: DatasetSpec, task: Task, trust: Iterable[str] = ()
) -> Augmentation:
    """Return an augmentation that is checked, and that moves the label which a gain changes.

    Raises UserError for a transform that would make images or labels wrong, with the heads at fault and the remedy.
    """
    trained = trained_specs(task)
    for name, transform in augmentation.transforms.items():
        if transform.allow and isinstance(transform, Mix):
            raise UserError(
                f"data.augment.{name}.allow: a mixed image has the labels of both, which are true; leave it out"
            )
        for head in transform.allow:
            if head not in trained:
                raise UserError(f"data.augment.{name}.allow: {head} is no trained head.{did_you_mean(head, trained)}")
    verdicts, level = judge(augmentation, spec, task, trust)
    for name, verdict in verdicts.items():
        key, heads = f"data.augment.{name}", ", ".join(verdict.heads)
        if verdict.fault:
            raise UserError(f"{key}: {verdict.fault}; leave it out")
        if heads and isinstance(augmentation.transforms[name], Mix):
            raise UserError(f"{key}: {verdict.causes}; leave it out, or give heads=classification, without a loss")
        if heads:
            raise UserError(
                f"{key}: labels would be wrong ({verdict.causes}); leave it out, or give ++{key}.allow=[{heads}]"
            )
    return replace(augmentation, level=level, checked=True)


def judge(
    augmentation: Augmentation, spec: DatasetSpec, task: Task, trust: Iterable[str] = ()
) -> tuple[dict[str, Verdict], LevelLabel | None]:
    """Return a verdict on each transform, and the label that a gain moves, if it moves one.

    A head's label would be wrong if its name or unit contains a word of the transform, or if rendered sounds show that
    changes of parameters explain most of the transform's change, among them one of that head's parameter.
    """
    trained = trained_specs(task)
    faults = {name: _fault(transform, spec, task) for name, transform in augmentation.transforms.items()}
    usable = {name: one for name, one in augmentation.transforms.items() if not faults[name]}
    single = {name: one for name, one in usable.items() if not isinstance(one, Mix)}
    source = _source(spec, trust) if trained and single else None
    level: LevelLabel | None = None
    measured: dict[str, Imitation] = {}
    names: Sequence[str] = ()
    if source is not None:
        has_gain = any(isinstance(transform, Gain) for transform in single.values())
        level = find_level_label(source) if has_gain else None
        measured, names = measure_imitations(source, single), source.synth.space.names
    verdicts = {name: Verdict(fault) for name, fault in faults.items()}
    for name, transform in usable.items():
        causes: dict[str, str] = {}
        if isinstance(transform, Mix):
            causes = _unmixable(task)
        elif level is None or not isinstance(transform, Gain):
            causes = _by_word(transform, trained) | _by_measurement(measured.get(name), names)
            causes = {head: why for head, why in causes.items() if head in trained and head not in transform.allow}
        verdicts[name] = Verdict(heads=causes, explained=measured[name].explained if name in measured else None)
    return verdicts, level


def trained_specs(task: Task) -> dict[str, ParameterSpec]:
    """Return the parameters of the heads that a task trains, by name."""
    if not isinstance(task, ParametersTask):
        return {}
    pairs = zip(task.space, task.trained.tolist(), strict=True)
    return {parameter.name: parameter for parameter, is_trained in pairs if is_trained}


def _source(spec: DatasetSpec, trust: Iterable[str]) -> Source | None:
    """Return the source of a dataset's sounds, None if they cannot be rendered here."""
    if spec.inputs.kind != "spectral" or spec.origin.recipe is None:
        return None
    try:
        return source_of(spec, trust)
    except UserError as error:
        log.info("data.augment: transforms are checked by the names of parameters alone (%s)", error)
        return None


def _fault(transform: Transform, spec: DatasetSpec, task: Task) -> str:
    """Return why a dataset or a task cannot take a transform at all, "" if it can."""
    if task.dense:
        return f"the maps of {type(task).__name__} would not change with the images"
    if task.compares_images:
        return "this task compares sounds with the images, which must not change"
    if spec.inputs.kind not in transform.inputs:
        wanted, given = ("pictures", "spectral images") if spec.inputs.kind == "spectral" else ("sounds", "pictures")
        return f"it is for {wanted}, but {spec.name} has {given}"
    low, high = spec.inputs.value_range
    if (low, high) != (0.0, 1.0):
        return f"it is for values from 0 to 1, but the images of {spec.name} hold {low:g} to {high:g}"
    shape = spec.inputs.shape
    if transform.can_empty(shape):
        return f"with these settings it can empty an image of {shape[1]}x{shape[2]}"
    if isinstance(transform, Mix) and task.uses_labels and not task.takes_mixes:
        return f"the loss of {type(task).__name__} takes no mixed images"
    if not transform.levels:
        return ""
    spectral = spec.origin.spectral
    if spectral is None:
        return f"it changes levels in dB, which the description of {spec.name} does not give"
    if spectral.image_scaling == "per_sample":
        return "it changes levels, which spectral.image_scaling=per_sample removes"
    others = [channel for channel in spectral.channels if channel != "magnitude" and not channel.startswith("stft_")]
    return f"it changes levels in dB, but channel {others[0]} holds none" if others else ""


def _unmixable(task: Task) -> dict[str, str]:
    """Return the trained heads whose loss of a mixed image is not a mean of the losses for two labels, and why."""
    causes = {}
    trained = trained_specs(task)
    for name, head in task.heads.items() if isinstance(task, ParametersTask) else ():
        if name in trained and not head.takes_mixes:
            if head.compound:
                which = "with several losses"
            elif head.config.kind == "classification":
                which = f"with the loss {head.loss_function.label}"
            else:
                which = f"of kind {head.config.kind}"
            causes[name] = f"a head {which} takes no mixed labels"
    return causes


def _by_word(transform: Transform, trained: Mapping[str, ParameterSpec]) -> dict[str, str]:
    causes = {}
    for name, parameter in trained.items():
        for where, text in (("unit", parameter.unit), ("name", name)):
            found = any(re.search(word, text, re.IGNORECASE) for word in transform.confounds)
            if found and parameter.kind != "categorical":
                causes[name] = f"its {where} says that this changes it"
    return causes


def _by_measurement(measured: Imitation | None, names: Iterable[str]) -> dict[str, str]:
    if measured is None or measured.explained <= _MOST_EXPLAINED:
        return {}
    return {
        name: f"parameters explain {measured.explained:.0%} of the change, this one by {move:.0%} of its range"
        for name, move in zip(names, measured.moves.tolist(), strict=True)
        if move > _MOST_MOVED
    }
