"""Configs as plain containers."""

from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf


def to_plain(config: DictConfig | ListConfig, resolve: bool = True) -> dict[str, Any]:
    """Return a config's mapping as plain containers, with its references replaced by their values if `resolve`."""
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=resolve))
