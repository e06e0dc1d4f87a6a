"""The old name of the learning rate in a training config, `model.adam_lr`; it is now `model.optimizer.lr`."""

from omegaconf import DictConfig, open_dict

from src.utils.errors import UserError
from src.utils.plain import to_plain


def rename_rate(config: DictConfig) -> None:
    """Remove `model.adam_lr` from a config in which `model.optimizer.lr` refers to it, as in runs of older versions.

    Raises UserError if it has no effect: one of the user's files still sets it.
    """
    older = config.model.get("adam_lr")
    if older is None:
        return
    optimizer = to_plain(config.model, resolve=False).get("optimizer") or {}
    refers = optimizer.get("lr") == "${model.adam_lr}"
    if not refers and not config.get("resume"):
        raise UserError(f"model.adam_lr: {older} given; the learning rate is model.optimizer.lr, so rename it to that")
    with open_dict(config):
        if refers:
            config.model.optimizer.lr = older
        del config.model.adam_lr
