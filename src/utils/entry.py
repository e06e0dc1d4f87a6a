"""Running an entry point so that a user's fault ends in one line and a non-zero exit status."""

import functools
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.utils.errors import Interrupted, UserError, first_line, one_line, printable
from src.utils.multirun import in_sweep, in_trial
from src.utils.ranks import join_run, rank
from src.utils.typos import explain
from src.utils.workers import worker_died

log = logging.getLogger(__name__)

_CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# model=NAME_ordinal: model=NAME heads=ordinal; the longer of two that fit stands first
_HEADS = tuple(sorted((f"_{path.stem}" for path in (_CONFIGS / "heads").glob("*.yaml")), key=len, reverse=True))
_LISTS = ("callbacks", "logger")  # groups of which several choices join
_NOTHING = {f"{group}={word}": f"{group}=none" for group in _LISTS for word in ("null", "[]")}  # Hydra takes neither


def task(function: Callable[[DictConfig], object]) -> Callable[[DictConfig], object]:
    """Wrap a Hydra task: what the user can mend is logged as one line, anything else keeps its traceback."""

    @functools.wraps(function)
    def wrapped(config: DictConfig) -> object:
        if rank():
            logging.disable(logging.WARNING)  # of several processes one tells how it goes, all what went wrong
        try:
            return function(config)
        except (UserError, OSError, OmegaConfBaseException) as error:
            message = str(error) if isinstance(error, UserError) else printable(one_line(error))
            if not (isinstance(error, Interrupted) and (rank() or in_trial())):  # the first, or the search, says more
                log.error(message)
            if not isinstance(error, Interrupted) and in_sweep():
                raise UserError(message) from None  # one trial has failed, not the sweep
            sys.exit(error.status if isinstance(error, UserError) else 1)
        except KeyboardInterrupt:
            log.error("interrupted; nothing half-written was kept")
            sys.exit(130)

    return wrapped


def expand(argument: str) -> list[str]:
    """Return a command line's word as the overrides that Hydra knows; UserError for a sweep over short forms."""
    if argument.startswith("model=") and "," in argument and any(one.endswith(_HEADS) for one in argument.split(",")):
        raise UserError(
            f"{argument}: in a sweep models and heads stand apart, as in model=cnn_micro,vit_tiny heads=ordinal"
        )
    if argument.startswith("experiment=") and argument.endswith(".yaml"):  # a file, such as a sweep's best.yaml
        path = Path(argument.removeprefix("experiment=")).resolve()
        if not path.is_file():
            raise UserError(f"{argument}: no such file; a name of configs/experiment stands without .yaml")
        return [f"experiment='{os.path.relpath(path.with_suffix(''), _CONFIGS / 'experiment')}'"]
    suffix = next((heads for heads in _HEADS if argument.startswith("model=") and argument.endswith(heads)), None)
    if suffix:
        return [argument.removesuffix(suffix), f"heads={suffix[1:]}"]
    return [_NOTHING.get(argument, argument)]


def join(words: list[str], group: str) -> list[str]:
    """Return a command line on which every `+group=name` is in one list; UserError for a sweep over them.

    Hydra refuses to add one choice to a group that has one, and takes a single list of more. A choice that is
    given itself heads that list, so that callbacks=none +callbacks=ema is callbacks=[none,ema].
    """
    more = [word for word in words if word.startswith(f"+{group}=")]
    if not more:
        return words
    given = [word for word in words if word.startswith(f"{group}=")]
    names = []
    for word in given + more:
        value = word.partition("=")[2]
        if ("," in value and value[0] != "[") or "],[" in value:
            raise UserError(f"{word}: a sweep takes whole lists, as in {group}=[default],[default,NAME]")
        names += [name.strip() for name in value.strip("[]").split(",")]
    joined = f"{'' if given else '+'}{group}=[{','.join(names)}]"
    others = [word for word in words if word not in given + more]
    at = sum(word in others for word in words[: words.index(more[0])])  # in its place: flags may stand around it
    return [*others[:at], joined, *others[at:]]


def run(main: Callable[[], object], prepare: Callable[[list[str]], list[str]] | None = None) -> None:
    """Run a `hydra.main` function on the command line, `prepare`d first where an entry point has words of its own.

    A bad override or an unwritable directory is one line too.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises, where it would print a traceback itself
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers about this machine
    # else Hydra copies the schemas of all plugins for each of the 150 groups that --help lists, which takes a second
    ConfigStore.__deepcopy__ = lambda store, _: store
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated")  # ours keep the keys of the plugins' own
    try:
        if "hydra/launcher=submitit_slurm" in sys.argv and not shutil.which("srun"):
            raise UserError("hydra/launcher: submitit_slurm given, but this machine has no srun; give submitit_local")
        if prepare:
            sys.argv[1:] = prepare(sys.argv[1:])
        sys.argv[1:] = [plain for argument in sys.argv[1:] for plain in expand(argument)]
        for group in _LISTS:
            sys.argv[1:] = join(sys.argv[1:], group)
        sys.argv[1:] = join_run(sys.argv[1:])
        main()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.status)
    except worker_died() as error:
        sys.exit(f"hydra/launcher: a job has died ({first_line(error)}); the same command does what is missing")
    except BrokenPipeError:
        os._exit(141)  # whoever reads, such as head, has seen enough; nothing more can be flushed
    except ConnectionError as error:
        sys.exit(f"hydra/launcher: {first_line(error)}")
    except KeyboardInterrupt:  # while jobs run elsewhere: one that runs here is ended by `task`
        sys.stderr.write("interrupted; what was whole is kept, and the same command goes on with the rest\n")
        sys.exit(130)
    except (HydraException, OmegaConfBaseException) as error:
        sys.stderr.write(f"{explain(error)} (see the config with --cfg job, its groups with --help)\n")
        sys.exit(1)
    except OSError as error:
        sys.stderr.write(f"{one_line(error)}; give a directory that can be written, as in hydra.run.dir=...\n")
        sys.exit(1)


def require(config: DictConfig, key: str, remedy: str) -> None:
    """UserError when a mandatory key was not given."""
    if OmegaConf.is_missing(config, key) or config.get(key) is None:
        raise UserError(f"{key}: not given; {remedy}")
