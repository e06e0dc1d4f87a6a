"""Train a model and test its best checkpoint: `python src/train.py experiment=...`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import rootutils

rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import hydra  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402

from src.cli.entry import entry_point, run  # noqa: E402
from src.cli.loggers import require_loggers  # noqa: E402
from src.cli.monitor import require_known, require_metrics, watched  # noqa: E402
from src.cli.resume import (  # noqa: E402
    continue_logs,
    how_to_continue,
    newest_checkpoint,
    require_same_optimizer,
    resumed,
    save_config,
)
from src.cli.unread import warn_of_unused  # noqa: E402
from src.cli.values import is_tested, rename_rate, require_limits, require_mappings  # noqa: E402
from src.run.checkpoints import find_checkpoint  # noqa: E402
from src.run.lock import exclusive_run  # noqa: E402
from src.run.names import description, run_names  # noqa: E402
from src.run.ranks import launched, rank  # noqa: E402
from src.run.record import Session, environment_info, is_finished, read_record  # noqa: E402
from src.utils.errors import Interrupted, UserError, first_line  # noqa: E402
from src.utils.files import shown_path  # noqa: E402
from src.utils.plain import to_plain  # noqa: E402
from src.utils.workers import raise_if_lost  # noqa: E402

if TYPE_CHECKING:
    from lightning import Trainer

    from src.callbacks.stop_on_signal import StopOnSignal
    from src.data.datamodule import BatchDataModule
    from src.evaluation.evaluate import Evaluation
    from src.models.vimh_lit_module import VIMHLitModule

log = logging.getLogger(__name__)


def train(
    datamodule: BatchDataModule,
    model: VIMHLitModule,
    trainer: Trainer,
    ckpt_path: Path | None = None,
    test: bool = True,
    fitting: AbstractContextManager[Any] = nullcontext(),  # noqa: B008 (it has no state)
) -> Evaluation | None:
    """Fit, within the context `fitting`; then test the best checkpoint, or the last weights if none is kept."""
    with fitting:
        fit(datamodule, model, trainer, ckpt_path)
    return test_best(datamodule, model, trainer) if test else None


def check(
    datamodule: BatchDataModule, model: VIMHLitModule, ckpt_path: Path | None = None, allow_blind: bool = False
) -> dict[str, int]:
    """Raise UserError for foreseeable problems; return the epoch and the step at which training begins."""
    from src.data.spec import DatasetSpec
    from src.evaluation.evaluate import require_same_targets
    from src.models.build import load_weights, read_checkpoint, require_loadable
    from src.models.checkpoint_schema import require_settings
    from src.models.preflight import preflight
    from src.models.training_state import require_training_state

    require_loadable(model)
    require_settings(datamodule.checkpoint_settings())
    DatasetSpec.from_dict(datamodule.spec.to_dict())  # its own checkpoints would be refused after the training
    at = {"epoch": 0, "global_step": 0}
    if ckpt_path:
        checkpoint = read_checkpoint(ckpt_path, trust=None)  # only its weights are used, in this run's own model
        trained_on = DatasetSpec.from_dict(checkpoint["dataset_spec"])
        require_same_targets(trained_on, datamodule.spec, model.heads.uses_labels)
        load_weights(model, checkpoint)
        require_same_optimizer(checkpoint["model_config"], model.config or {})
        require_training_state(checkpoint, model)
        at = {key: checkpoint[key] for key in at}
    preflight(datamodule, model, allow_blind)
    return at


def adapted(config: DictConfig, datamodule: BatchDataModule, ckpt_path: Path | None) -> dict[str, Any]:
    """Give the config the model of a checkpoint and the datamodule its sounds; return the checkpoint."""
    from src.data.recordings_datamodule import RecordingsDataModule
    from src.data.spec import DatasetSpec
    from src.models.build import read_checkpoint

    if not isinstance(datamodule, RecordingsDataModule):
        raise UserError("adapt: true needs recordings; give experiment=adapt_to_recordings data.audio_dir=...")
    if ckpt_path is None:
        raise UserError("ckpt_path: not given; give the checkpoint that is adapted, a .ckpt file or best")
    checkpoint = read_checkpoint(ckpt_path, config.trust)
    plain = to_plain(config.model)
    kept = {key: checkpoint["model_config"].get(key) for key in ("network", "heads", "auxiliary", "channels_last")}
    config.model = plain | {key: value for key, value in kept.items() if value is not None}
    datamodule.describe(DatasetSpec.from_dict(checkpoint["dataset_spec"]), checkpoint["data_settings"])
    return checkpoint


def refuse_faults(config: DictConfig, datamodule: BatchDataModule) -> None:
    """Raise UserError for a model or a trainer that cannot be built, before the dataset is generated."""
    import torch

    from src.cli.instantiate import build_trainer
    from src.models.augmentable import require_augmentable
    from src.models.build import build_model

    planned = datamodule.planned_spec()
    if planned is None:
        return
    build_trainer(cast(DictConfig, OmegaConf.merge(config, {"logger": None})))
    with torch.random.fork_rng(devices=[]):  # so that this does not change the run's initial weights
        model = build_model(to_plain(config.model), planned)
        require_known(watched(config), model.monitorable)
        model.check_optimizer()
        model.heads.prepare(datamodule.trust)
        if datamodule.augmentation is not None:
            require_augmentable(datamodule.augmentation, planned, model.heads, datamodule.trust)


def fit(datamodule: BatchDataModule, model: VIMHLitModule, trainer: Trainer, ckpt_path: Path | None) -> None:
    """Train, starting from a checkpoint if one is given."""
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    try:
        trainer.fit(model, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
    except MisconfigurationException as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if type(error).__module__ == "torch._dynamo.exc":  # no compiler or no Triton
            advice = "fix that, or train with model.compile=false"
            raise UserError(f"model.compile: {first_line(error)}; {advice}") from error
        if isinstance(error, UserError) or not model.resuming:
            raise
        raise UserError(
            f"ckpt_path: training cannot continue from it ({first_line(error)}); start a new run"
        ) from error


def test_best(datamodule: BatchDataModule, model: VIMHLitModule, trainer: Trainer) -> Evaluation:
    """Test the best checkpoint, or the current model if no checkpoint is kept."""
    from src.evaluation.evaluate import evaluate
    from src.models.build import load_own_checkpoint

    best = best_path(trainer)
    if best:
        log.info("best checkpoint: %s", shown_path(best))
    return evaluate(load_own_checkpoint(best, model.config or {}) if best else model, datamodule, trainer)


def best_path(trainer: Trainer) -> Path | None:
    """Return the file of the best checkpoint, None if none is kept."""
    from src.callbacks.record_progress import best_by_metric

    path = getattr(best_by_metric(trainer), "best_model_path", "")
    return Path(path) if path else None


@contextmanager
def interruptible(directory: Path, stop: StopOnSignal) -> Iterator[None]:
    """Report in one line how to continue after a full disk, or after a signal that StopOnSignal did not handle."""
    import errno
    import signal

    from lightning.pytorch.utilities.exceptions import SIGTERMException

    try:
        yield
    except SystemExit as error:
        number = signal.SIGTERM if isinstance(error, SIGTERMException) else signal.SIGINT
        raise Interrupted(f"interrupted; {how_to_continue(directory)}", number) from error
    except RuntimeError as error:
        if stop.received is None:
            raise_if_lost(error, how_to_continue(directory))
            raise
        raise Interrupted(f"interrupted; {how_to_continue(directory)}", stop.received) from error  # workers get it too
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise UserError(f"{directory}: {error.strerror}; free some space, then {how_to_continue(directory)}") from error


def starting_point(config: DictConfig) -> Path | None:
    """Return the checkpoint that a run starts from: its own newest if it is resumed, otherwise the one given."""
    if not config.get("resume"):
        return find_checkpoint(config.ckpt_path, Path(config.paths.log_dir)) if config.ckpt_path else None
    directory = Path(config.paths.output_dir)
    found = newest_checkpoint(directory)
    if found is None:
        log.info("%s has no checkpoint, so the run starts from the beginning", shown_path(directory))
        first = next(iter(read_record(directory)), {}).get("from")
        return Path(first) if first else None
    return found


def limits(config: DictConfig) -> dict[str, Any]:
    """Return the settings that limit a run, and whether a test follows."""
    plain = to_plain(config)
    found = {key: plain["trainer"].get(key) for key in ("max_epochs", "max_steps", "max_time")}
    return found | {"early_stopping": (plain.get("callbacks") or {}).get("early_stopping"), "test": plain["test"]}


@hydra.main(version_base="1.3", config_path="../configs", config_name="train")
@entry_point
def main(config: DictConfig) -> float | None:
    # other groups leave something in both: the augmentation alone is no data, and the heads alone are no model
    if any("_target_" not in (config.get(group) or {}) for group in ("data", "model")):
        raise UserError("data and model: both groups are needed, as in data=vimh model=cnn_micro")
    require_mappings(config)
    run_names(config)
    given = config.data.get("data_dir")
    if given and "://" not in given and not Path(given).is_dir():
        raise UserError(f"data.data_dir: {given} does not exist; give a VIMH directory, or null to generate one")
    if given:
        warn_of_unused(("synth", "spectral", "dataset"), f"data.data_dir={given} is used")
    elif "recipe" not in config.data:
        warn_of_unused(("synth",), "no synth makes these data")
    if config.trainer.get("overfit_batches") and "online" in config.data.get("_target_", ""):
        raise UserError("trainer.overfit_batches: online data cannot overfit a batch; give data=vimh")
    if config.get("adapt") and config.test:
        raise UserError("test: recordings have no labels to test with; give test=false, and src/eval.py for a dataset")
    rename_rate(config)
    require_limits(config.trainer)
    require_metrics(config)
    require_loggers(config.get("logger"))
    directory = Path(config.paths.output_dir)
    if config.get("resume") and is_finished(directory):
        session = read_record(directory)[-1]
        if session["limits"].items() <= limits(config).items():
            longer = "trainer.max_epochs=... (or callbacks.early_stopping.patience=..., if early stopping ended it)"
            log.info("%s is finished; to train it longer, give %s with resume=", shown_path(directory), longer)
            return session["score"]
    if launched() and not config.get("resume") and is_finished(directory):  # torchrun or SLURM sets its name
        raise UserError(
            f"{directory}: holds a finished run; give the new run another name, or continue this one with resume="
        )
    with exclusive_run(directory):
        return train_in(directory, config, starting_point(config))


def train_in(directory: Path, config: DictConfig, ckpt_path: Path | None) -> float | None:
    """Build everything from the config, train, test, and write the results to the run's directory."""
    start = ckpt_path
    if ckpt_path:
        log.info("starting from %s", shown_path(ckpt_path))
    from lightning.pytorch.callbacks import LambdaCallback

    from src.callbacks.bookkeeping import Bookkeeping
    from src.callbacks.record_progress import RecordProgress
    from src.callbacks.stop_on_signal import StopOnSignal
    from src.cli.instantiate import apply_extras, build, build_trainer, log_hyperparameters
    from src.cli.signatures import require_valid_arguments
    from src.evaluation.tables import print_evaluation, write_evaluation
    from src.models.build import build_model, load_weights
    from src.run.hparams_table import log_results
    from src.run.tensorboard_overview import log_overview

    apply_extras(config)
    require_valid_arguments(config, ("data", "model", "trainer", "callbacks", "logger"))
    given = {"recipe": None} if config.data.get("data_dir") else {}  # an existing dataset is never generated
    datamodule = build(cast(DictConfig, OmegaConf.merge(config.data, given)), "data")
    weights = None
    if config.get("adapt"):  # the config of an older run that is resumed lacks it
        weights = adapted(config, datamodule, ckpt_path)
        ckpt_path = ckpt_path if ckpt_path and ckpt_path.is_relative_to(directory) else None  # of this run itself
    refuse_faults(config, datamodule)
    spec = datamodule.spec
    tested = config.test and is_tested(config.trainer)
    # refuses files that the description does not fit, before a model for these images is built
    datamodule.setup(None if tested else "fit")  # None opens the test split too
    model = build_model(to_plain(config.model), spec)
    if weights and not ckpt_path:
        load_weights(model, weights)
    if not model.heads.uses_labels:
        warn_of_unused(("heads",), f"{type(model.heads).__name__} learns from no labels")
    require_known(watched(config), model.monitorable)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    log.info("dataset %s, model of %s parameters", shown_path(datamodule.data_dir or spec.name), f"{num_parameters:,}")
    at = check(datamodule, model, ckpt_path, config.preflight.allow_blind)
    epochs = config.trainer.get("max_epochs")
    if epochs is not None and 0 <= epochs <= at["epoch"] > 0:
        raise UserError(
            f"trainer.max_epochs: {epochs} given, but the run is already in epoch {at['epoch'] + 1}; give more"
        )
    original = deepcopy(config)  # without the step from which the loggers of this session continue
    first_of_resumed = bool(config.get("resume")) and not rank()
    if first_of_resumed:
        continue_logs(config.get("logger"), at["global_step"])
    trainer = build_trainer(config)
    made_by = environment_info()
    last = None if not trainer.checkpoint_callbacks or trainer.fast_dev_run else directory / "checkpoints/last.ckpt"  # type: ignore[attr-defined]
    origin = {"commit": made_by["git"].get("commit"), "dirty": made_by["git"].get("dirty"), "seed": config.seed}
    stop = StopOnSignal(last, how_to_continue(directory))
    details = {"from": start, "seed": config.seed, "limits": limits(config), "dataset": spec.sha256}
    details["num_parameters"] = num_parameters
    session = Session(directory, description(config, spec, directory) | details | made_by)
    record = RecordProgress(session, config.monitor)
    trainer.callbacks += [record, stop, Bookkeeping(origin, bool(config.get("resume")))]  # type: ignore[attr-defined]
    if first_of_resumed:  # later, since all processes first read the saved config and apply the same overrides to it
        trainer.callbacks += [LambdaCallback(on_fit_start=lambda *_: save_config(original, directory))]  # type: ignore[attr-defined]
    with interruptible(directory, stop), session as entry:
        identity = {"dataset": spec.name, "dataset_sha256": spec.sha256.get("train"), "num_parameters": num_parameters}
        log_hyperparameters(trainer.loggers, config, identity)
        if not (first_of_resumed and at["global_step"]):  # otherwise its logs have it
            log_overview(trainer.loggers, model, datamodule, made_by["command"])
        evaluation = train(datamodule, model, trainer, ckpt_path, tested, fitting=stop)
        if evaluation:
            if trainer.is_global_zero:
                write_evaluation(evaluation, directory, best_path(trainer))
            log_results(trainer.loggers, config, identity, entry["score"], evaluation.metrics)
            if trainer.is_global_zero:
                print_evaluation(evaluation)
        if trainer.is_global_zero:
            log.info("%slog and checkpoints: %s", "results, " if evaluation else "", shown_path(directory))
        return entry["score"]


if __name__ == "__main__":
    run(main, resumed)
