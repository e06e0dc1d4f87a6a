"""Configs as plain containers."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf


def to_plain(config: DictConfig | ListConfig, resolve: bool = True) -> dict[str, Any]:
    """Return a config's mapping as plain containers, with its references replaced by their values if `resolve`."""
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=resolve))


def flatten(value: Any, key: str) -> Iterator[tuple[str, str | int | float | bool]]:
    """Yield plain values: the name of a class under the key of its config, a list as text, and nothing for null."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "_target_":
                yield key, str(inner).rpartition(".")[2]
            elif not name.startswith("_"):
                yield from flatten(inner, f"{key}.{name}".lstrip("."))
    elif value is not None:
        yield key, value if isinstance(value, str | int | float | bool) else str(value)
