"""Run an entry point so that a user's mistake ends in one line and a non-zero exit status."""

import argparse
import functools
import io
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.cli.help import help_text
from src.cli.shared_directory import join_run
from src.cli.text_values import CONFIGS, quote, quote_text, read_paths, text_of
from src.cli.typos import explain, refuse_empty_keys
from src.cli.unread import overrides, refuse_unread
from src.cli.values import require_switches
from src.run.names import run_directory  # noqa: F401  (a resolver of configs/hydra, registered with its module)
from src.run.ranks import drop_stray_ranks, leave_with_first, rank
from src.utils.errors import Interrupted, UserError, first_line, one_line, printable
from src.utils.multirun import in_sweep, in_trial
from src.utils.workers import worker_died

log = logging.getLogger(__name__)

# model=NAME_ordinal means model=NAME heads=ordinal; longer suffixes come first, as one may end with another
_HEADS = tuple(sorted((f"_{path.stem}" for path in (CONFIGS / "heads").glob("*.yaml")), key=len, reverse=True))
_LISTS = ("callbacks", "logger")  # groups of which several choices are combined
_OPTIONAL = ("experiment", "hparams_search", "debug")  # groups without a choice by default
_NOTHING = {f"{group}={word}": f"{group}=none" for group in _LISTS for word in ("null", "[]")}  # Hydra refuses both


def entry_point(function: Callable[[DictConfig], object]) -> Callable[[DictConfig], object]:
    """Wrap an entry point: an error that the user can fix is logged as one line; others keep their traceback."""

    @functools.wraps(function)
    def wrapped(config: DictConfig) -> object:
        if rank():
            logging.disable(logging.WARNING)  # only the first process reports progress; all report errors
            leave_with_first()
        try:
            if HydraConfig.initialized():
                refuse_unread(overrides(), str(HydraConfig.get().job.config_name))
            read_paths(config)
            require_switches(config)
            return function(config)
        except (UserError, OSError, OmegaConfBaseException) as error:
            message = printable(_message(error))
            if not (isinstance(error, Interrupted) and (rank() or in_trial())):  # another process reports it
                log.error(message)
            if not isinstance(error, Interrupted) and in_sweep():
                raise UserError(message) from None  # one trial has failed, not the sweep
            sys.exit(error.status if isinstance(error, UserError) else 1)
        except KeyboardInterrupt:
            log.error("interrupted; no partly written file was kept")
            sys.exit(130)

    return wrapped


def _message(error: UserError | OSError | OmegaConfBaseException) -> str:
    if isinstance(error, OmegaConfBaseException):
        return explain(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) if isinstance(error, UserError) else one_line(error)


def expand(word: str) -> list[str]:
    """Return a word of the command line as Hydra's overrides; raise UserError for a sweep over short forms."""
    if word.startswith("model=") and "," in word and any(model.endswith(_HEADS) for model in word.split(",")):
        raise UserError(
            f"{word}: give models and heads separately in a sweep, as in model=cnn_micro,vit_tiny heads=ordinal"
        )
    if word.startswith("experiment=") and text_of(word).endswith(".yaml"):  # a file, such as a sweep's best.yaml
        path = Path(text_of(word)).expanduser().resolve()
        if not path.is_file():
            raise UserError(f"{word}: no such file; leave out .yaml to choose one of configs/experiment")
        return [f"experiment={quote(os.path.relpath(path.with_suffix(''), CONFIGS / 'experiment'))}"]
    group, _, value = word.partition("=")
    if value == "null" and (CONFIGS / group).is_dir() and word not in _NOTHING:
        if group in _OPTIONAL:
            return []
        raise UserError(f"{group}: null given; choose one of its configs, which --help lists")
    suffix = next((heads for heads in _HEADS if word.startswith("model=") and word.endswith(heads)), None)
    if suffix:
        return [word.removesuffix(suffix), f"heads={suffix[1:]}"]
    added = re.match(r"\+([\w.]+)=", word)
    if added and not (CONFIGS / added[1]).is_dir():
        return [f"+{word}"]  # `++` adds a key or sets an existing key: a user need not know which
    return [_NOTHING.get(word, word)]


def join(words: list[str], group: str) -> list[str]:
    """Return a command line with every `+group=name` joined into one list; raise UserError for a sweep over them.

    Hydra refuses to add a choice to a group that already has a choice, but accepts a list of choices. A choice given
    without `+` comes first in that list, so that callbacks=none +callbacks=ema is callbacks=[none,ema].
    """
    more = [word for word in words if word.startswith(f"+{group}=")]
    if not more:
        return words
    given = [word for word in words if word.startswith(f"{group}=")]
    names = []
    for word in given + more:
        value = word.partition("=")[2]
        if ("," in value and value[0] != "[") or "],[" in value:
            raise UserError(f"{word}: a sweep needs whole lists, as in '{group}=[default],[default,NAME]'")
        names += [name.strip() for name in value.strip("[]").split(",")]
    joined = f"{'' if given else '+'}{group}=[{','.join(names)}]"
    others = [word for word in words if word not in given + more]
    at = sum(word in others for word in words[: words.index(more[0])])  # where the first of them was
    return [*others[:at], joined, *others[at:]]


def run(main: Callable[[], object], prepare: Callable[[list[str]], list[str]] | None = None) -> None:
    """Run a `hydra.main` function on the command line; `prepare` first replaces the words that only this command has.

    A mistake on the command line, or a directory that cannot be written, ends in one line.
    """
    _set_surroundings()
    try:
        if "--version" in sys.argv:
            from src.run.record import version_line

            sys.stdout.write(f"{version_line()}\n")
            return
        if {"--help", "-h"}.intersection(sys.argv):
            purpose = (sys.modules["__main__"].__doc__ or "").replace("`", "")
            entry = Path(sys.argv[0]).stem.removesuffix("_vimh").removesuffix("_dataset")
            sys.stdout.write(f"{help_text(entry, purpose)}\n")
            return
        for stray in drop_stray_ranks():
            sys.stderr.write(f"{stray} is ignored: no launcher (torchrun, srun) has set it; unset it\n")
        sys.argv[1:] = _words_for_hydra(sys.argv[1:], prepare)
        main()
    except UserError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        sys.exit(error.status)
    except worker_died() as error:
        sys.exit(
            f"hydra/launcher: a job was killed ({first_line(error)}); run the same command again to complete "
            "the other jobs"
        )
    except BrokenPipeError:
        os._exit(141)  # the reader, such as head, has closed the pipe; nothing more can be flushed
    except ConnectionError as error:
        sys.exit(f"hydra/launcher: {first_line(error)}")
    except KeyboardInterrupt:  # while jobs run in other processes: `entry_point` handles it for a job in this process
        sys.stderr.write("interrupted; completed jobs are kept; run the same command again to continue\n")
        sys.exit(130)
    except (HydraException, OmegaConfBaseException) as error:
        sys.stderr.write(f"{printable(str(_user_error(error) or explain(error)))}\n")
        sys.exit(1)
    except OSError as error:
        remedy = "give a directory that can be written, as in paths.log_dir=... or hydra.run.dir=..."
        sys.stderr.write(f"{printable(_message(error))}; {remedy}\n")
        sys.exit(1)


def _user_error(error: BaseException | None) -> UserError | None:
    """Return the UserError that a config's resolver raised, which OmegaConf wraps in its own errors."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def _set_surroundings() -> None:
    """Make Hydra, matplotlib and the standard streams work wherever a command is started."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises the error instead of printing it
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray sends statistics about this machine
    # torch reads it when it is imported; otherwise threads that wait keep their cores, and beside other work
    # a step takes up to 19 times as long (benchmarks/busy.py)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["MPLBACKEND"] = "Agg"  # plots are only saved; a notebook's backend may not exist here
    # otherwise Hydra copies all plugins' schemas for each of the 150 groups that --help lists, which takes a second
    ConfigStore.__deepcopy__ = lambda store, _: store  # type: ignore[attr-defined]
    # Hydra's parser would print its whole usage
    argparse.ArgumentParser.error = _refuse_option  # type: ignore[method-assign, assignment]
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it reports where its list of fonts is
    logging.getLogger("torch").setLevel(logging.WARNING)  # it reports its caches if its import is interrupted
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # the parent closed it: the next file opened would get its number
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            setattr(sys, name, os.fdopen(descriptor, "w"))
        if isinstance(getattr(sys, name), io.TextIOWrapper):
            getattr(sys, name).reconfigure(errors="backslashreplace")  # for locales that lack a character


def _refuse_option(parser: argparse.ArgumentParser, message: str) -> None:
    raise UserError(f"{message}; give values without dashes, as in trainer.max_epochs=3; --help lists the options")


def _words_for_hydra(words: list[str], prepare: Callable[[list[str]], list[str]] | None) -> list[str]:
    """Return a command line as Hydra expects it; raise UserError where Hydra's own message would be long."""
    refuse_empty_keys(words)
    if "hydra/launcher=submitit_slurm" in words and not shutil.which("srun"):
        raise UserError("hydra/launcher: submitit_slurm given, but this machine has no srun; give submitit_local")
    words = quote_text(words)
    if prepare:
        words = prepare(words)
    words = [plain for word in words for plain in expand(word)]
    for group in _LISTS:
        words = join(words, group)
    return join_run(words)


def require(config: DictConfig, key: str, remedy: str) -> None:
    """Raise UserError if a mandatory key has no value."""
    if OmegaConf.is_missing(config, key) or config.get(key) in (None, ""):
        raise UserError(f"{key}: not given; {remedy}")
