"""What `--help` prints for an entry point: its values with their explanations, and its config groups."""

import re
import textwrap

from src.cli.text_values import CONFIGS

_WIDTH = 80
_LINE = re.compile(
    r"(?P<indent>\s*)(?:- (?:optional |override )?)?(?P<key>[\w@/]+):\s*(?P<value>.*?)\s*(?:# (?P<why>.*))?"
)
_FOOTER = (
    "--cfg job prints all values, including those of the chosen groups; group.key=value sets one. --version prints "
    "versions, --hydra-help Hydra's options."
)


def help_text(entry: str, purpose: str) -> str:
    """Return the help of the entry point whose main config is configs/`entry`.yaml, at most 80 columns wide."""
    own, shared, groups = [], [], []
    for key, value, why, is_group in _entries(entry):
        choices = sorted(path.stem for path in (CONFIGS / key).glob("*.yaml")) if is_group and key != "hydra" else []
        if choices == ["default"]:  # a group with one file of values
            shared += [_item(f"{key}.{name}: {given}", reason) for name, given, reason, _ in _entries(f"{key}/default")]
        elif choices:
            usual = "none" if value in ("null", "[]") else value
            groups.append(_item(f"{key}: {', '.join(choices)}", f"default: {usual}{f'; {why}' if why else ''}"))
        elif not is_group:
            own.append(_item(f"{key}: {value}", why))
    return "\n\n".join(
        (
            textwrap.fill(purpose, _WIDTH),
            "\n".join(["== Values (key=value) ==", *own, *shared]),
            "\n".join(["== Configuration groups (group=choice) ==", *(groups or ["  none"])]),
            textwrap.fill(_FOOTER, _WIDTH),
        )
    )


def _entries(name: str) -> list[tuple[str, str, str, bool]]:
    """Return each line of a config file, in order: key, value, explanation, and whether it chooses a group."""
    found: list[tuple[str, str, str, bool]] = []
    parents: list[str] = []
    in_defaults = False
    for line in (CONFIGS / f"{name}.yaml").read_text().splitlines():
        entry = _LINE.fullmatch(line)
        if not entry:
            continue
        depth = len(entry["indent"]) // 2
        if depth == 0:
            in_defaults = entry["key"] == "defaults"
        parents[depth:] = [entry["key"]]
        is_group = in_defaults and depth > 0
        if entry["value"] or is_group:
            key = entry["key"] if is_group else ".".join(parents)
            found.append((key, entry["value"] or "null", entry["why"] or "", is_group))
    return found


def _item(first: str, reason: str) -> str:
    lines = textwrap.wrap(first, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join([*lines, *textwrap.wrap(reason, _WIDTH, initial_indent="      ", subsequent_indent="      ")])
