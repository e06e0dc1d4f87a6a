"""Paths and names on a command line reach the config as the text that was typed."""

import os
import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from src.cli.text_values import quote, quote_text, read_paths, text_of
from src.utils.errors import UserError
from tests import running

ODD = (
    *("sub C#.wav", "snare (1).wav", "it's.wav", "naïve.wav", "a=b,c.wav", "kick [alt].wav", "epoch=00-val=0.1.ckpt"),
    *("2024", "20241126", "1e5", "1_000", "0.5", "nan", "inf", "true", "False", "on", "yes", "None", "NULL"),
    *("[x]", "{y}", "a;b!", 'q"w', "日本", "my projects/50% (copy)", "a:b", "a&b|c<d>", "a\\b", "a\\", "a\tb", "a\nb"),
    *(
        "'single",
        "'x'.wav",
        '"x".wav',
        "$HOME",
        "choice(a,b)",
        "range(3)",
        "a*?b",
        "x@y",
        " lead",
        "trail ",
        "-",
        "...",
    ),
)


def value_of(word):
    """Return what Hydra makes of a word, in the config it would write."""
    override = OverridesParser.create().parse_override(word)
    assert not override.is_sweep_override()
    config = OmegaConf.create()
    OmegaConf.update(config, override.key_or_group, override.value())
    (leaf,) = OmegaConf.to_container(config, resolve=True).values()
    while isinstance(leaf, dict):
        (leaf,) = leaf.values()
    return leaf


@pytest.mark.parametrize("key", ["input", "ckpt_path", "data.data_dir", "dataset.name", "+logger.csv.name"])
@pytest.mark.parametrize("text", ODD)
def test_odd_values_are_the_text_that_was_typed(key, text):
    (word,) = quote_text([f"{key}={text}"])
    assert value_of(word) == text and text_of(word) == text
    assert quote_text([word]) == [word]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_is_itself(text):
    for word in (*quote_text([f"synth.name={text}"]), f"synth.name={quote(text)}"):
        if "${" in text or text in ("null", "???") or re.fullmatch(r"""(['"]).*\1""", text, re.DOTALL):
            continue  # these mean something: another key, none, to be given, what is within the quotes
        assert value_of(word) == text


@pytest.mark.parametrize("word", ["seed=2024", "trainer.max_epochs=3", "--cfg", "job", "-m", "~callbacks.ema", "x", ""])
def test_other_words_stay_as_they_are(word):
    assert quote_text([word]) == [word]


@pytest.mark.parametrize(
    "word", ["model=cnn_tiny", "data.data_dir=data/x", "hydra.run.dir=logs/${now:%Y}", "synth=null"]
)
def test_words_that_hydra_reads_as_meant_stay_as_they_are(word):
    assert quote_text([word]) == [word]


@pytest.mark.parametrize("word", ["input='a, b.wav'", 'input="a, b.wav"'])
def test_quotes_around_a_value_are_the_users_way_to_say_text(word):
    assert value_of(*quote_text([word])) == "a, b.wav"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("ckpt_path=null", None),
        ("resume=null", None),
        ("data.data_dir=null", None),
        ("dataset.name=null", None),
        ("input=null", "null"),
        ("paths.data_dir=null", "null"),
        ("generate.output_dir=null", "null"),
        ("dataset.name='null'", "null"),
    ],
)
def test_null_is_none_where_a_key_can_be_none_and_text_elsewhere(word, value):
    assert value_of(*quote_text([word])) == value


@pytest.mark.parametrize(
    "key", ["input", "ckpt_path", "resume", "paths.data_dir", "generate.output_dir", "hydra.run.dir"]
)
def test_the_home_directory_is_expanded(monkeypatch, key):
    monkeypatch.setenv("HOME", "/home/me (1)")
    for given_value, meant in (("~/d", "/home/me (1)/d"), ("'~/d'", "/home/me (1)/d"), ("~", "/home/me (1)")):
        assert value_of(*quote_text([f"{key}={given_value}"])) == meant
    for text in ("~tilde.wav", "a~b", "./~/d", "a${", "${b"):
        assert value_of(*quote_text([f"{key}={text}"])) == text


def test_the_home_directory_is_expanded_in_files_too(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    plain = {
        "paths": {"data_dir": "~/d"},
        "data": {"data_dir": None, "root": "${paths.data_dir}"},
        "dataset": {"name": "~"},
    }
    config = OmegaConf.create(plain)
    read_paths(config)
    assert config.paths.data_dir == config.data.root == "/home/me/d" and config.dataset.name == "~"
    assert OmegaConf.create({"log": "~/logs", "run": "${home:${log}}/runs"}).run == "/home/me/logs/runs"


def test_a_list_of_lists_is_no_choice_of_configs():
    with pytest.raises(UserError, match=r"^callbacks: \[\[a\]\] given; give a list of names, as in callbacks=\["):
        quote_text(["callbacks=[[a]]"])


def test_a_path_in_a_file_may_be_a_whole_number_but_nothing_else_that_is_no_text():
    config = OmegaConf.create({"data": {"data_dir": 2024, "root": None}, "seed": 3})
    read_paths(config)
    assert config == {"data": {"data_dir": "2024", "root": None}, "seed": 3}
    for value, shown in ((True, "True"), (1e5, "100000.0"), (["a"], "['a']")):
        with pytest.raises(UserError, match=re.escape(f"data.data_dir: {shown} given; give a path")):
            read_paths(OmegaConf.create({"data": {"data_dir": value}}))


def test_another_key_can_be_referred_to_unless_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert quote_text(["input=${paths.data_dir}/naïve"]) == ["input='${paths.data_dir}/naïve'"]
    os.mkdir("a${b}")
    assert value_of(*quote_text(["input=a${b}"])) == "a${b}"


@pytest.mark.parametrize("sweep", ["-m", "--multirun", "hparams_search=vimh_optuna", "hydra.mode=MULTIRUN"])
@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("data.data_dir=data/a,data/b", ["data/a", "data/b"]),
        ("dataset.name=2024,2025", ["2024", "2025"]),
        ("input=a (1).wav,'b,c.wav'", ["a (1).wav", "b,c.wav"]),
        ("synth=303,808", ["303", "808"]),
        ("data.data_dir=choice(a,b)", ["a", "b"]),
    ],
)
def test_in_a_sweep_a_comma_separates_values(sweep, word, values):
    override = OverridesParser.create().parse_override(quote_text([sweep, word])[1])
    assert override.is_sweep_override()
    assert [str(getattr(one, "text", one)) for one in override._value.list] == values


def test_what_cannot_be_swept_is_text_in_a_sweep_too():
    assert value_of(quote_text(["-m", "hydra.sweeper.study_name=a,b"])[1]) == "a,b"


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("tags=[a b,'c,d',2024]", ["a b", "c,d", "2024"]),
        ("tags=night", ["night"]),
        ("tags=1e5,true", ["1e5", "true"]),
        ("tags=[]", []),
        ("trust=my_networks", ["my_networks"]),
    ],
)
def test_names_in_a_list_are_text(word, names):
    assert value_of(*quote_text([word])) == names


def test_a_choice_of_a_group_is_a_name_whatever_it_looks_like():
    for word, expected in (("synth=303", "synth='303'"), ("callbacks=[default,2024]", "callbacks=[default,'2024']")):
        assert quote_text([word]) == [expected]
    for word in ("callbacks=[a],[b]", "model=choice(a,b)", "hydra/launcher=joblib"):
        assert quote_text([word, "-m"])[0] == word


def test_a_value_that_is_not_utf_8_is_one_line():
    with pytest.raises(UserError, match=r"^input: caf\\xe9.wav is not UTF-8, as a config must be; rename the file"):
        quote_text(["input=caf\udce9.wav"])


@pytest.mark.parametrize("text", ["sub C#.wav", "2024", "a=b,c.wav", "it's"])
def test_the_composed_config_holds_the_text(text):
    assert running.composed("predict", *quote_text([f"input={text}"])).input == text
    assert running.composed("generate", *quote_text([f"dataset.name={text}"])).dataset.name == text
