"""Keys of a config whose values must be mappings, and keys that are switches, since code only looks them up."""

from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf

from src.utils.errors import UserError, shown

_NEEDED = ("trainer", "paths", "extras", "preflight", "data.recipe.synth", "model.heads", "model.heads.default")
_KEYED_BY_ROLE = ("callbacks", "logger")  # each value of these is a mapping as well
_SWITCHES = ("test", "deterministic", "verify", "report", "render", "preflight.allow_blind", "extras.print_config")


def require_mappings(config: DictConfig) -> None:
    """Raise UserError for a value in the place of a mapping; null is left to those who read it."""
    for key in (*_NEEDED, *_KEYED_BY_ROLE):
        _require(OmegaConf.select(config, key), key)
    for group in _KEYED_BY_ROLE:
        for role, value in (config.get(group) or {}).items():
            _require(value, f"{group}.{role}")


def _require(value: object, key: str) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{key}: {shown(value)} given; give a mapping of keys to values (--cfg job shows the config)")


def require_switches(config: DictConfig) -> None:
    """Raise UserError for a switch that is not true or false: the text `no`, for example, would switch it on."""
    for key in _SWITCHES:
        value = OmegaConf.select(config, key, default=False)
        if not isinstance(value, bool):
            raise UserError(f"{key}: {'null' if value is None else shown(value)} given; give true or false")
