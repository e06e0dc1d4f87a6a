"""What the README and docs/ say is true: links, commands, names, tables and code."""

import re
import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml

from src.cli.entry import expand, join
from src.data.augment.augmentation import TRANSFORMS
from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.models.losses import Loss
from src.synth.saw_moog import SAW_MOOG_LOG
from src.synth.voice import OUR_VOICES, load_voice
from tests import running
from tests.running import CONFIGS, ROOT
from tests.test_makefile import TARGETS
from viz.list_losses import markdown
from viz.list_parameters import markdown as list_voice

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"))
}
ENTRIES = {
    "src/train.py": "train",
    "src/eval.py": "eval",
    "src/predict.py": "predict",
    "src/report.py": "report",
    "src/evaluation/limits.py": "limits",
    "generate_vimh.py": "generate",
    "build_dataset.py": "build",
}


def blocks(language):
    """Return (page, code) of every fenced block of a language."""
    found = []
    for page, text in PAGES.items():
        found += [(page, code) for code in re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    return found


def commands():
    """Return (page, line) of every command in a bash block, continued lines joined, comments removed."""
    found = []
    for page, code in blocks("bash"):
        for line in code.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                found.append((page, words))
    return found


COMMANDS = commands()
COMPOSED = [words for _, words in COMMANDS if words[0] == "python" and words[1] in ENTRIES]


def table(name):
    """Return the lines between a generated table's markers."""
    (text,) = (text for text in PAGES.values() if f"<!-- {name} -->" in text)
    return text.split(f"<!-- {name} -->\n")[1].split(f"\n<!-- /{name} -->")[0]


def anchors(text):
    """Return the anchors of a page's headings, as the site and code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_readme_is_short():
    assert len(PAGES["README.md"].encode()) <= 10_000


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        path, _, anchor = target.partition("#")
        assert "://" not in path, f"{page}: {target} needs a network"
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(there.read_text()), f"{page}: {target}"


def test_every_page_is_in_the_site():
    listed = re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text().split("\nnav:")[1])
    assert {f"docs/{page}" for page in listed} == {page for page in PAGES if page.startswith("docs/")}


def test_commands_are_of_a_known_kind():
    for page, words in COMMANDS:
        known = words[0] == "make" or (words[0] == "python" and (ROOT / words[1]).is_file())
        assert known, f"{page}: {' '.join(words)}"


@pytest.mark.parametrize("words", [words for _, words in COMMANDS if words[0] == "make"], ids=" ".join)
def test_make_targets_exist(words):
    targets = [word for word in words[1:] if "=" not in word]
    assert set(targets) <= set(TARGETS)


@pytest.mark.parametrize("words", COMPOSED, ids=" ".join)
def test_commands_compose(words):
    overrides = [plain for word in words[2:] if word not in ("-m", "--pickle") for plain in expand_word(word)]
    for group in ("callbacks", "logger"):
        overrides = join(overrides, group)
    running.composed(ENTRIES[words[1]], "paths.output_dir=.", *overrides)


def expand_word(word):
    """Return what a word becomes; what belongs to Hydra itself, or names a file, is not for a compose."""
    made_by_a_page = ("synth=organ", "synth=mine")
    if word.startswith(("hydra.", "hydra/")) or word.endswith(".yaml") or word in made_by_a_page:
        return []
    return expand(re.sub(r"range\(\d+\)", "3", word))


@pytest.mark.parametrize(("page", "code"), blocks("yaml"), ids=[page for page, _ in blocks("yaml")])
def test_yaml_parses(page, code):
    assert isinstance(yaml.safe_load(code), dict)


def python_block(page, words):
    (code,) = (code for name, code in blocks("python") if name == page and words in code)
    return code


def test_the_voice_of_the_page_renders(tmp_path, monkeypatch):
    (tmp_path / "my_synths").mkdir()
    (tmp_path / "my_synths/organ.py").write_text(python_block("docs/your_synth.md", "ORGAN"))
    monkeypatch.syspath_prepend(tmp_path)
    (config,) = (yaml.safe_load(code) for page, code in blocks("yaml") if page == "docs/your_synth.md")
    recipe = running.recipe()
    recipe["synth"] = config["synth"]
    source = load_source(parse_recipe(recipe))
    values, images, _ = source.block(0)
    assert values.shape[1] == 1 and images.shape[1:] == (1, 32, 32)


def test_the_twin_of_the_page_renders_the_same_and_the_calls_run(tmp_path, monkeypatch):
    import torch

    page = "docs/differentiable_voices.md"
    (tmp_path / "twins.py").write_text(python_block(page, "ORGAN"))
    monkeypatch.syspath_prepend(tmp_path)
    from twins import ORGAN

    brightness = torch.rand(3)
    expected = ORGAN.render({"brightness": brightness.numpy()}, 8000, 1000)
    found = ORGAN.differentiable({"brightness": brightness}, 8000, 1000)
    torch.testing.assert_close(found.T, torch.from_numpy(expected), rtol=0, atol=1e-4)  # time in single precision
    for words in ("SAW_MOOG", "import ladder"):
        exec(compile(python_block(page, words), page, "exec"), {})


def test_the_network_of_the_page_trains(tmp_path, monkeypatch):
    import torch

    from src.data.spec import DatasetSpec
    from src.models.build import build_model
    from tests.test_configs import SPEC

    (tmp_path / "my_networks.py").write_text(python_block("docs/your_network.md", "class Mine"))
    monkeypatch.syspath_prepend(tmp_path)
    network = {"_target_": "my_networks.Mine", "_partial_": True}
    model = build_model(running.plain("train", "model", "model=base") | {"network": network}, SPEC)
    assert isinstance(model.spec, DatasetSpec)
    outputs = model(torch.rand(2, *SPEC.image_shape))
    assert set(outputs) == set(SPEC.space.names)


def test_the_callback_of_the_page_is_one(tmp_path, monkeypatch):
    from src.callbacks.base import ScheduledCallback

    (tmp_path / "my_callbacks.py").write_text(python_block("docs/training.md", "class Snapshot"))
    monkeypatch.syspath_prepend(tmp_path)
    import my_callbacks

    assert isinstance(my_callbacks.Snapshot(every=5, when="val/nmae < 0.1"), ScheduledCallback)


def test_the_sound_callback_of_the_page_logs_a_level(tmp_path, monkeypatch):
    (tmp_path / "my_loudness.py").write_text(python_block("docs/sound_callbacks.md", "class Loudness"))
    monkeypatch.syspath_prepend(tmp_path)
    import my_loudness

    logged = {}
    logger = SimpleNamespace(log_metrics=lambda values, step: logged.update(values))
    callback = my_loudness.Loudness(interval=1, unit="epochs", max_samples=8)
    callback.render = lambda module, collected: (2 * torch.ones(3, 8), torch.ones(3, 8), 8000)
    callback.show(SimpleNamespace(loggers=[logger], global_step=1), None, {})
    assert logged == {"sounds/louder_db": pytest.approx(6.02, abs=0.01)}


def test_the_loss_example_runs():
    code = python_block("docs/heads_and_losses.md", "prepare")
    exec(compile(code, "docs/heads_and_losses.md", "exec"), {})


@pytest.mark.long
def test_the_loss_of_the_page_is_one(tmp_path):
    code = python_block("docs/heads_and_losses.md", "class CubeLoss")
    check = "import torch\nassert CubeLoss()(torch.tensor([2.0]), torch.tensor([0.0])) == 8\n"
    # in a process of its own, since a loss registers its name
    subprocess.run([sys.executable, "-c", f"{code}\n{check}"], cwd=ROOT, check=True)


def test_table_of_losses_is_the_one_that_the_classes_give():
    assert table("losses") == markdown(), "python viz/list_losses.py --markdown has the new one"
    assert table("losses").count("\n") == len(Loss.registry) + 1


@pytest.mark.parametrize("path", sorted(OUR_VOICES))
def test_table_of_a_voice_is_the_one_that_it_gives(path):
    voice = load_voice(path)
    assert path.rpartition(".")[2] in PAGES["docs/voices.md"]
    if voice is not SAW_MOOG_LOG:  # SAW_MOOG on other scales
        assert table(voice.name) == list_voice(voice), "python viz/list_parameters.py SYNTH --markdown has the new one"


def test_every_loss_names_a_source():
    for row in markdown().splitlines()[2:]:
        assert re.search(r"\| [^|]{9,} \|$", row), row


def test_every_kind_of_head_and_every_network_is_listed():
    rows = PAGES["docs/heads_and_losses.md"].split("## Losses")[0].splitlines()
    kinds = re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows if row.startswith("|")))
    assert {path.stem for path in (CONFIGS / "heads").glob("*.yaml")} <= set(kinds)
    models = {path.stem for path in (CONFIGS / "model").glob("*.yaml")} - {"base"}
    for name in ("models", "backbones"):
        assert models <= set(re.findall(r"^\| (\w+) \|", table(name), re.MULTILINE)), name


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_is_listed_with_its_settings(name):
    page = PAGES["docs/augmentation.md"]
    assert f"`{name}`" in page
    (row, *_) = [line for line in page.splitlines() if f"| `{name}` |" in line] or [page.split("## Mixing")[1]]
    for key, setting in TRANSFORMS[name].model_fields.items():
        if key in ("share", "allow") or setting.is_required():
            continue
        assert f"`{key}: {setting.default:g}`" in row, key
