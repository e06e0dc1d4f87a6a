"""Refuse transforms of training images that a dataset, a task or a head cannot take."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

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

_MOST_EXPLAINED = 0.5  # of a transform's change by changes of parameters; gain reaches 1, masks 0.15
_MOST_MOVED = 0.05  # of a range: the smallest wrong label that is refused


def require_augmentable(
    augmentation: Augmentation, spec: DatasetSpec, task: Task, trust: Iterable[str] = ()
) -> Augmentation:
    """Return an augmentation that is checked, and that moves the labels which a gain changes.

    Raises UserError for a transform that would make images or labels wrong, with the head at fault and the remedy.
    """
    if task.compares_images:
        raise UserError("data.augment: this task compares sounds with the images, which must not change; leave it out")
    trained = trained_specs(task)
    for name, transform in augmentation.transforms.items():
        key = f"data.augment.{name}"
        _require_inputs(key, transform, spec)
        for head in transform.allow:
            if head not in trained:
                raise UserError(f"{key}.allow: {head} is no trained head.{did_you_mean(head, trained)}")
        if isinstance(transform, Mix):
            _require_mixable(key, task)
    source = renderable(spec, trust) if trained else None
    level = level_label(augmentation, source)
    for name, causes in confounded(augmentation, trained, source, level).items():
        if causes:
            key, heads = f"data.augment.{name}", ", ".join(causes)
            why = "; ".join(f"{head}: {cause}" for head, cause in causes.items())
            raise UserError(
                f"{key}: labels of {heads} would be wrong ({why}); leave it out, or give {key}.allow=[{heads}] if not"
            )
    return replace(augmentation, level=level, checked=True)


def trained_specs(task: Task) -> dict[str, ParameterSpec]:
    """Return the parameters of the heads that a task trains, by name."""
    if not isinstance(task, ParametersTask):
        return {}
    pairs = zip(task.space, task.trained.tolist(), strict=True)
    return {parameter.name: parameter for parameter, is_trained in pairs if is_trained}


def renderable(spec: DatasetSpec, trust: Iterable[str]) -> Source | None:
    """Return the source of a dataset's sounds, None if they cannot be rendered here."""
    if spec.inputs.kind != "spectral" or spec.origin.recipe is None:
        return None
    try:
        return source_of(spec, trust)
    except UserError as error:
        log.info("data.augment: transforms are checked by the names of parameters alone (%s)", error)
        return None


def level_label(augmentation: Augmentation, source: Source | None) -> LevelLabel | None:
    """Return the label that a gain moves, if there is one of both."""
    has_gain = any(isinstance(transform, Gain) for transform in augmentation.transforms.values())
    return find_level_label(source) if has_gain and source is not None else None


def confounded(
    augmentation: Augmentation,
    trained: Mapping[str, ParameterSpec],
    source: Source | None,
    level: LevelLabel | None,
) -> dict[str, dict[str, str]]:
    """Return why transforms would make labels wrong, as {transform: {head: cause}}.

    A head is refused if its name or unit contains a word of the transform, or if rendered sounds show that changes of
    parameters explain most of the transform's change, and that head's label would move.
    """
    single = {name: one for name, one in augmentation.transforms.items() if not isinstance(one, Mix)}
    if level is not None:
        single = {name: one for name, one in single.items() if not isinstance(one, Gain)}
    measured = measure_imitations(source, single) if source is not None else {}
    names = source.synth.space.names if source is not None else []
    found = {}
    for name, transform in single.items():
        causes = _by_word(transform, trained) | _by_measurement(measured.get(name), names)
        found[name] = {head: why for head, why in causes.items() if head in trained and head not in transform.allow}
    return found


def _by_word(transform: Transform, trained: Mapping[str, ParameterSpec]) -> dict[str, str]:
    causes = {}
    for name, parameter in trained.items():
        text = f"{name} {parameter.unit}".lower()
        word = next((word for word in transform.confounds if word in text), None)
        if word and parameter.kind != "categorical":
            causes[name] = f"its {'name' if word in name.lower() else 'unit'} says that the transform changes it"
    return causes


def _by_measurement(measured: Imitation | None, names: Iterable[str]) -> dict[str, str]:
    if measured is None or measured.explained <= _MOST_EXPLAINED:
        return {}
    return {
        name: f"changes of parameters explain {measured.explained:.0%} of the transform's, this one by {move:.0%} of "
        "its range"
        for name, move in zip(names, measured.moves.tolist(), strict=True)
        if move > _MOST_MOVED
    }


def _require_inputs(key: str, transform: Transform, spec: DatasetSpec) -> None:
    if spec.inputs.kind not in transform.inputs:
        wanted, given = ("pictures", "spectral images") if spec.inputs.kind == "spectral" else ("sounds", "pictures")
        raise UserError(f"{key}: it is for {wanted}, but {spec.name} has {given}; leave it out")
    spectral = spec.origin.spectral
    if not transform.levels or spectral is None:
        return
    if spectral.image_scaling == "per_sample":
        raise UserError(f"{key}: it changes levels, which spectral.image_scaling=per_sample removes; leave it out")
    others = [channel for channel in spectral.channels if channel != "magnitude" and not channel.startswith("stft_")]
    if others:
        raise UserError(f"{key}: it changes levels in dB, but channel {others[0]} holds none; leave it out")


def _require_mixable(key: str, task: Task) -> None:
    """Raise UserError for a head, or a task, whose loss of a mixed image is not a mean of the losses for two labels."""
    if not task.uses_labels:
        return
    if not task.takes_mixes or not isinstance(task, ParametersTask):
        raise UserError(f"{key}: the loss of {type(task).__name__} takes no mixed images; leave it out")
    trained = trained_specs(task)
    for name, head in task.heads.items():
        if name in trained and not head.takes_mixes:
            kind = "with several losses" if head.compound else f"of kind {head.config.kind}"
            raise UserError(
                f"{key}: {name} has a head {kind}, which takes no mixed labels; leave it out, or give "
                f"model.heads.{name}.kind=classification with one loss"
            )
