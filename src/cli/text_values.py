"""Quote paths and names on a command line, so that Hydra reads them as the text that was typed.

Hydra's grammar reads `2024` as a number and `a,b` as two values, and it cannot read `naïve (1).wav` or `~/x` at all.
The tables below are the only list of keys that hold text; the choice of a config group is also text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from os.path import expanduser, lexists
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError

from src.utils.errors import UserError, shown
from src.utils.plain import to_plain

PATHS = (  # a leading `~` is the home directory
    *("ckpt_path", "input", "unlike", "resume", "data.data_dir", "data.root", "data.audio_dir", "data.cache_dir"),
    *("paths.*", "generate.output_dir", "generate.cache_dir", "model.network.weights"),
    *("check", "build.output_dir", "build.cache_dir"),
    *("callbacks.*.dirpath", "callbacks.*.directory", "logger.*.save_dir", "logger.*.offline_directory"),
    *("logger.*.repo", "logger.*.artifact_location"),
    *("hydra.run.dir", "hydra.sweep.dir", "hydra.launcher.submitit_folder"),
)
NAMES = (
    *("name", "task_name", "dataset.name", "synth.name", "synth.source", "monitor"),
    *("model.scheduler.monitor", "callbacks.*.monitor", "callbacks.*.metric", "callbacks.*.filename"),
    *("logger.*.name", "logger.*.version", "logger.*.project", "logger.*.group", "logger.*.experiment"),
    *("logger.*.experiment_name", "logger.*.run_name", "logger.*.tracking_uri"),
    *("hydra.job.name", "hydra.sweep.subdir", "hydra.sweeper.study_name", "hydra.sweeper.storage"),
)
LISTS = ("tags", "trust", "from", "logger.*.tags")  # of names
NEVER_NULL = ("input", "paths.*", "generate.*", "build.*", "task_name", "hydra.*")  # `null` is text there

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
_WORD = re.compile(r"(\+{0,2}([\w./]+))=(.*)", re.DOTALL)
_ITEM = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,]*?)\s*(,|$)""", re.DOTALL)


def quote_text(words: list[str]) -> list[str]:
    """Return a command line on which Hydra reads the values of keys that hold text as text.

    In a sweep a comma separates values, as everywhere in Hydra, so a file name with a comma needs quotes.
    Raises UserError for a value that is not UTF-8, which a config cannot hold.
    """
    sweeps = is_sweep(words)
    return [_quote_word(word, sweeps) for word in words]


def is_sweep(words: Iterable[str]) -> bool:
    """Return whether a command line asks for several jobs."""
    starts = ("hparams_search=", "+hparams_search=", "hydra.mode=MULTIRUN")
    return any(word in ("-m", "--multirun") or word.startswith(starts) for word in words)


def text_of(word: str) -> str:
    """Return the text of a word `key=text`, without quotes around it."""
    return _unquote(word.partition("=")[2])


def quote(text: str, mark: Quote = Quote.single) -> str:
    """Return a value that Hydra reads as text; `${...}` in it still refers to another key."""
    return QuotedString(text, mark).with_quotes()


def read_paths(config: DictConfig) -> None:
    """Make the paths of a config text, in place, and replace a leading `~`, since YAML files hold paths as well.

    Raises UserError for a value that is no path.
    """
    for key, value in _leaves(to_plain(config, resolve=False)):
        if value is None or not _is_one_of(key, PATHS):
            continue
        if isinstance(value, bool | float | list):
            raise UserError(f"{key}: {shown(value)} given; give a path, in YAML with quotes around it")
        if not isinstance(value, str) or value.startswith("~"):
            OmegaConf.update(config, key, expanduser(str(value)))


def _quote_word(word: str, sweeps: bool) -> str:
    found = _WORD.fullmatch(word)
    if not found:
        return word
    start, key, value = found.groups()
    is_choice, is_list = (CONFIGS / key).is_dir(), _is_one_of(key, LISTS)
    if not (is_choice or is_list or _is_one_of(key, (*PATHS, *NAMES))):
        return word
    if value == "null" and not _is_one_of(key, NEVER_NULL):
        return word
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{key}: {value} is not UTF-8, as a config must be; rename the file, or give its folder"
        ) from None
    is_file = is_choice and not sweeps and _unquote(value).endswith(".yaml")  # as in experiment=best.yaml
    if is_list or (is_choice and not is_file):
        return _quote_choices(word, start, key, value, is_list)
    if sweeps and not key.startswith("hydra."):
        return word if _is_function(value) else f"{start}={_quote_items(key, value)}"
    return f"{start}={_quote_value(key, value)}"


def _quote_choices(word: str, start: str, key: str, value: str, is_list: bool) -> str:
    """Return a word whose value is a list, or one or several choices of a config group."""
    inner = re.fullmatch(r"\[([^\[\]]*)\]", value)
    if inner:
        return f"{start}=[{_quote_items(key, inner[1])}]"
    if value.startswith("[["):
        raise UserError(f"{key}: {value} given; give a list of names, as in {key}=[one,other]")
    if "[" in value or _is_function(value):  # a sweep over lists or a sweep function
        return word
    return f"{start}=[{_quote_items(key, value)}]" if is_list else f"{start}={_quote_items(key, value)}"


def _is_function(value: str) -> bool:
    """Return whether Hydra reads a value as a sweep function, such as `choice(a,b)`."""
    parsed = _parse(value)
    return parsed is not None and parsed.is_sweep_override() and parsed.value_type != ValueType.SIMPLE_CHOICE_SWEEP


def _quote_items(key: str, value: str) -> str:
    """Return comma-separated values, each quoted as text."""
    items = [item for item, end in _ITEM.findall(value) if item or end]
    return ",".join(_quote_value(key, item) for item in items)


def _quote_value(key: str, value: str) -> str:
    """Return a value that Hydra reads as text, unchanged if it already does."""
    text, is_path = _unquote(value), _is_one_of(key, PATHS)
    if is_path:
        text = expanduser(text) if text != "???" else "./???"  # OmegaConf reads ??? as a missing value
    if "${" in text and ((is_path and lexists(text)) or not _refers(text)):
        text = text.replace("${", "\\${")
    parsed = _parse(text)
    return text if parsed and parsed.value() == text else quote(text)


def _refers(text: str) -> bool:
    """Return whether `${` in a text has the form of a reference to another key."""
    try:
        OmegaConf.create([text])
    except GrammarParseError:
        return False
    return True


def _unquote(value: str) -> str:
    parsed = _parse(value)
    is_quoted = parsed and parsed.value_type == ValueType.ELEMENT and value.lstrip().startswith(("'", '"'))
    return str(parsed.value()) if parsed and is_quoted else value


def _parse(value: str) -> Override | None:
    """Return Hydra's reading of a value, or None if Hydra cannot read it."""
    try:
        return OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return None


def _is_one_of(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of everything in a plain config that is not a mapping."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


OmegaConf.register_new_resolver("home", expanduser, replace=True)  # ${home:PATH}, for directories that Hydra creates
