"""`--help` lists what a command has, with reasons, and nothing else."""

import pytest
import yaml

from src.cli.help import CONFIGS, help_text

ENTRIES = ("train", "eval", "predict", "report", "generate", "limits")


@pytest.mark.parametrize("entry", ENTRIES)
def test_all_values_and_groups_of_a_command_are_listed_in_80_columns(entry):
    text = help_text(entry, "Do something: python src/something.py")
    plain = yaml.safe_load((CONFIGS / f"{entry}.yaml").read_text())
    values = [key for key in plain if key != "defaults"]
    groups = [group.split()[-1] for one in plain["defaults"] if isinstance(one, dict) for group in one]
    assert text.startswith("Do something: python src/something.py\n") and max(map(len, text.splitlines())) <= 80
    for key in values:
        assert f"\n  {key}{'.' if isinstance(plain[key], dict) else ':'}" in text
    for group in set(groups) - {"hydra", "local", "local@_global_"}:
        choices = {path.stem for path in (CONFIGS / group).glob("*.yaml")}
        assert (f"\n  {group}." if choices == {"default"} else f"\n  {group}: ") in text
    listed = text.partition("== Configuration groups")[2]
    assert all((f"\n  {path.name}: " in listed) <= (path.name in groups) for path in CONFIGS.iterdir())


def test_every_value_of_a_command_says_why_it_is_what_it_is():
    for entry in ENTRIES:
        lines = (CONFIGS / f"{entry}.yaml").read_text().splitlines()
        own = lines[lines.index("") :]
        for line in own:
            assert not line or line.endswith(":") or " # " in line or line.startswith("task_name: "), line


def test_reasons_stand_below_their_values_and_defaults_are_named():
    text = help_text("predict", "x")
    assert "\n  ckpt_path: ???\n      a .ckpt file, or best: " in text
    assert text.count("  none\n") == 1
    assert "default: regression; model=NAME_ordinal is short for" in " ".join(help_text("train", "x").split())
