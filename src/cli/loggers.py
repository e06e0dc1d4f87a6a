"""Loggers whose package is optional: a missing package is reported before anything is imported or generated."""

from importlib.util import find_spec

from omegaconf import DictConfig

from src.utils.errors import UnavailableError

PACKAGES = {"wandb": "wandb", "mlflow": "mlflow", "comet": "comet_ml", "aim": "aim"}  # extra: package


def require_loggers(config: DictConfig | None) -> None:
    """Raise UnavailableError if the package of a logger is missing, with the command that installs it."""
    for role, logger in (config or {}).items():
        require_logger(logger, f"logger.{role!s}")


def require_logger(config: DictConfig | None, where: str) -> None:
    """Raise UnavailableError if the package of one logger is not installed, or its service has closed."""
    target = str(config.get("_target_", "") if config else "").split(".")
    if "neptune" in target:
        raise UnavailableError(
            f"{where}: the service was shut down, and Lightning has removed its logger; give logger=tensorboard"
        )
    for extra, package in PACKAGES.items():
        if extra in target and find_spec(package) is None:
            raise UnavailableError(
                f"{where}: {package} is not installed; install it with: uv pip install -e '.[{extra}]'"
            )
