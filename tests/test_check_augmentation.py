"""`make augment-check` judges and draws every transform that suits a dataset."""

import sys

import pytest

from src.data.augment.augmentation import TRANSFORMS
from src.utils.errors import UserError
from viz import check_augmentation


def checked(monkeypatch, capsys, tmp_path, *words):
    monkeypatch.setattr(sys, "argv", ["check", *words, "--output", str(tmp_path / "found.png")])
    check_augmentation.main()
    out = capsys.readouterr().out
    assert max(map(len, out.split("picture:")[0].splitlines())) <= 80
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
    return " ".join(out.split())


def test_all_transforms_of_pictures_are_drawn(monkeypatch, capsys, tmp_path):
    out = checked(monkeypatch, capsys, tmp_path, "experiment=digits", "augment=images")
    pictures = {name for name, transform in TRANSFORMS.items() if "image" in transform.inputs}
    assert all(f" {name} all allow it" in out for name in pictures) and out.count("in use") == 3
    assert "spec_augment" not in out


def test_transforms_of_sounds_name_the_heads_that_refuse_them(monkeypatch, capsys, tmp_path, saw):
    out = checked(monkeypatch, capsys, tmp_path, f"data.data_dir={saw}", "data.recipe=null")
    assert "spec_augment" in out and "the label of note_velocity moves with it" in out
    assert "refused for note_velocity, log10_decay_time: a head of kind regression" in out
    assert "flip" not in out


def test_an_unknown_word_is_one_line(monkeypatch, capsys, tmp_path):
    with pytest.raises(UserError, match="no_such"):
        checked(monkeypatch, capsys, tmp_path, "experiment=no_such")
