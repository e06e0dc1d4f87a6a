"""Labels of a head as functions of an image's class. All are synthetic, unless the files themselves hold them.

A synthetic label adds nothing that the class does not tell: it shows how heads work together, not what images show.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ConfigDict, ValidationError, validate_call

from src.data.images.image_set import Classes
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError, did_you_mean, shown
from src.utils.invalid import describe

SYNTHETIC = "synthetic: "  # begins the description of a head with such labels
_DIGITS = tuple("0123456789")
_STROKES = (1, 1, 1, 1, 2, 2, 1, 1, 1, 1)  # of a pen, as most people write 0 to 9


@dataclass(frozen=True)
class Labels:
    """The label of each of K classes, (K,) int64 numbers of `names`, which have an order if `ordered`."""

    of_class: np.ndarray
    names: tuple[str, ...]
    meaning: str
    synthetic: bool = True
    ordered: bool = False


def identity(classes: Classes) -> Labels:
    """Return the class itself."""
    return Labels(np.arange(len(classes)), classes.names, "class", synthetic=False)


def coarse(classes: Classes, groups: dict[str, list[str]] | None = None) -> Labels:
    """Return the coarse class that the files hold, or the group that has the class among its names."""
    if groups is None:
        if classes.coarse is None:
            raise ValueError("the files hold no coarse classes; give groups, as in {groups: {animal: [cat, dog], ...}}")
        return Labels(np.array(classes.coarse), classes.coarse_names, "coarse class", synthetic=False)
    group_of: dict[str, int] = {}
    for number, members in enumerate(groups.values()):
        for name in members:
            if name not in classes.names:
                raise ValueError(f"groups: no class {shown(name)}.{did_you_mean(name, classes.names)}")
            if name in group_of:
                raise ValueError(f"groups: {shown(name)} is in two groups; leave it in one")
            group_of[name] = number
    if missing := [name for name in classes.names if name not in group_of]:
        raise ValueError(f"groups: {shown(missing[0])} is in no group; add it to one")
    return Labels(np.array([group_of[name] for name in classes.names]), tuple(groups), "group of the class")


def parity(classes: Classes) -> Labels:
    """Return whether the number of the class, from 0, is even or odd."""
    return Labels(np.arange(len(classes)) % 2, ("even", "odd"), "parity of the class's number")


def strokes(classes: Classes) -> Labels:
    """Return the number of pen strokes with which most people write a digit."""
    if classes.names != _DIGITS:
        raise ValueError("strokes are known of the classes 0 to 9 only; leave it out")
    return Labels(np.array(_STROKES) - 1, ("1", "2"), "pen strokes that most people need for the digit")


def one_vs_rest(classes: Classes, category: str) -> Labels:
    """Return whether the class is `category`."""
    if category not in classes.names:
        raise ValueError(f"category: no class {shown(category)}.{did_you_mean(category, classes.names)}")
    is_it = np.array(classes.names) == category
    return Labels(is_it.astype(np.int64), ("rest", category), "one class against the rest")


def ordinal(classes: Classes, order: list[str] | None = None) -> Labels:
    """Return the place of the class in an order, by default its number, as a quantity with distances."""
    names = classes.names if order is None else tuple(order)
    if sorted(names) != sorted(classes.names):
        raise ValueError(f"order: {len(names)} names given; give each of the {len(classes)} classes once")
    return Labels(np.array([names.index(name) for name in classes.names]), names, "place of the class", ordered=True)


STRATEGIES: dict[str, Callable[..., Labels]] = {
    function.__name__: function for function in (identity, coarse, parity, strokes, one_vs_rest, ordinal)
}


def make_labels(config: Mapping[str, Any], classes: Classes) -> dict[str, Labels]:
    """Return each head's labels from a config {head: strategy} or {head: {strategy: ..., its arguments}}.

    Raises UserError with the key of a strategy that does not exist or does not suit the classes.
    """
    found = {}
    for head, given in config.items():
        key = f"data.labels.{head}"
        options = dict(given) if isinstance(given, Mapping) else {"strategy": given}
        strategy = options.pop("strategy", None)
        if not isinstance(strategy, str) or strategy not in STRATEGIES:
            raise UserError(f"{key}: strategy {shown(strategy)} given.{did_you_mean(str(strategy), STRATEGIES)}")
        call = validate_call(config=ConfigDict(strict=True, arbitrary_types_allowed=True))(STRATEGIES[strategy])
        try:
            found[head] = call(classes, **options)
        except ValidationError as error:
            raise UserError(describe(error, key)) from error
        except ValueError as error:
            raise UserError(f"{key}: {error}") from error
        if len(found[head].names) < 2:
            raise UserError(f"{key}: {len(found[head].names)} different labels, so there is nothing to learn")
    if not found:
        raise UserError("data.labels: no heads given; give at least one, as in {class: identity}")
    return found


def label_spec(head: str, labels: Labels) -> ParameterSpec:
    """Return the parameter of a head; its description says whether its labels are synthetic."""
    kind: dict[str, Any] = {"values": labels.names}
    if labels.ordered:
        kind = {"min": 0, "max": len(labels.names) - 1, "step": 1, "kind": "ordinal"}
    description = SYNTHETIC * labels.synthetic + labels.meaning
    try:
        return ParameterSpec(name=head, description=description, **kind)
    except ValidationError as error:
        raise UserError(describe(error, f"data.labels.{head}")) from error
