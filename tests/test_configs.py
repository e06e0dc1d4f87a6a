"""Every choice of every config group composes and builds; every experiment trains."""

import json
import math
import shutil

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from src.cli.instantiate import build, build_all
from src.cli.loggers import require_loggers
from src.data.inputs import Inputs
from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UnavailableError
from tests import running
from tests.data.images.files import write_mnist
from tests.synth.outside import require_installed

ENTRIES = ("train", "eval", "predict", "report", "generate", "limits")
EXPERIMENTS = sorted(path.stem for path in (running.CONFIGS / "experiment").glob("*.yaml"))


def groups_of(entry):
    """Return the groups that an entry's defaults list names, with the choice made there."""
    defaults = yaml.safe_load((running.CONFIGS / f"{entry}.yaml").read_text())["defaults"]
    pairs = [pair for one in defaults if isinstance(one, dict) for pair in one.items()]
    named = {group.removeprefix("optional "): choice for group, choice in pairs}
    return {group: choice for group, choice in named.items() if "@" not in group}  # a file of the user's own


def choices_of(group):
    return sorted(path.stem for path in (running.CONFIGS / group).glob("*.yaml"))


FIRST_OF = {group: entry for entry in reversed(ENTRIES) for group in groups_of(entry)}  # of those that share a group
CHOICES = [(entry, group, choice) for group, entry in FIRST_OF.items() for choice in choices_of(group)]


@pytest.mark.slow  # src/cli/check_configs.py, which is tested on all of them, takes a twentieth of the time
@pytest.mark.parametrize(("entry", "group", "choice"), CHOICES, ids=lambda value: value)
def test_every_choice_composes_and_resolves(entry, group, choice, tmp_path):
    config = running.composed(entry, f"{group}={choice}", f"paths.output_dir={tmp_path}")
    plain = OmegaConf.to_container(config, resolve=True)
    assert set(plain) >= {"task_name", "paths", "extras"}


def test_no_group_is_out_of_reach_and_no_default_is_missing():
    reached = {group: choice for entry in ENTRIES for group, choice in groups_of(entry).items()}
    assert {path.name for path in running.CONFIGS.iterdir() if path.is_dir()} == set(reached)
    for group, choice in reached.items():
        if choice and group != "local":
            assert choice in choices_of(group)


def test_the_command_lines_config_names_exist():
    wanted = {
        "data": {"vimh", "vimh_16kdss", "vimh_online", "vimh_stk"},
        "trainer": {"cpu", "gpu", "mps", "ddp", "ddp_sim", "fsdp"},
        "optimizer": {"adam", "adamw", "muon", "sgd"},
        "scheduler": {"plateau", "cosine", "cosine_restarts", "exponential", "one_cycle"},
        "wrapper": {"sam", "asam", "lookahead", "gradient_centralization"},
        "heads": {"regression", "classification", "ordinal", "coral", "corn", "gaussian", "mixture", "evidential"},
        "logger": {"tensorboard", "csv"},
        "debug": {"default", "fdr", "limit", "overfit", "profiler"},
        "callbacks": {
            *("default", "none", "early_stopping", "model_checkpoint", "periodic_checkpoint", "model_summary"),
            *("rich_progress_bar", "grouped_progress_bar", "gradient_stats", "ema", "swa", "gradient_accumulation"),
            *("learning_rate_monitor", "throughput", "device_stats", "trace"),
        },
    }
    for group, names in wanted.items():
        assert names <= set(choices_of(group)), group


@pytest.mark.parametrize("choice", choices_of("callbacks"))
def test_every_callback_builds(choice, tmp_path):
    config = running.composed("train", f"callbacks={choice}", f"paths.output_dir={tmp_path}").callbacks
    assert len(build_all(config, "callbacks")) == len(config)


@pytest.mark.parametrize("choice", choices_of("logger"))
def test_every_logger_builds_or_says_what_to_install(choice, tmp_path):
    config = running.composed("train", f"logger={choice}", f"paths.output_dir={tmp_path}").logger
    try:
        require_loggers(config)
        assert len(build_all(config, "logger")) == len(config)
    except UnavailableError as error:
        remedy = "was shut down" if choice == "neptune" else "uv pip install -e '.["
        assert choice not in ("csv", "tensorboard", "none") and remedy in str(error)


@pytest.mark.parametrize("choice", choices_of("data"))
def test_every_data_config_builds_without_touching_the_disk(choice, tmp_path):
    config = running.composed("train", f"data={choice}", f"paths.data_dir={tmp_path}", f"paths.output_dir={tmp_path}")
    build(config.data, "data")
    assert not list(tmp_path.iterdir())


SPEC = DatasetSpec(
    "t",
    Inputs((1, 32, 32)),
    ParameterSpace(
        [
            ParameterSpec(name="level", min=-2, max=6, step=0.5),
            ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log"),
            ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical"),
        ]
    ),
)


@pytest.mark.parametrize("heads", choices_of("heads"))
def test_every_heads_config_learns_from_a_batch_and_estimates_its_errors(heads):
    torch.manual_seed(0)
    model = build_model(running.plain("train", "model", f"heads={heads}"), SPEC)
    batch = {"image": torch.rand(16, 1, 32, 32), "target": torch.rand(16, 3), "scale": torch.zeros(16, 2)}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(model.training_step(batch, 0))
        losses[-1].backward()
        optimizer.step()
    found = [loss.item() for loss in losses]
    assert all(map(math.isfinite, found)) and found[-1] < found[0]
    outputs = model(batch["image"])
    values, uncertainties, *_, low_90, high_90 = model.heads.estimates(outputs)
    low, high = torch.tensor(SPEC.space.min), torch.tensor(SPEC.space.max)
    assert ((values > low - 1e-3) & (values < high * (1 + 1e-6) + 1e-3)).all()
    if heads in ("regression", "quantized_regression"):  # their errors are unknown until they are measured
        assert uncertainties[:, :2].isnan().all() and low_90[:, :2].isnan().all()
    else:
        assert (uncertainties[:, :2] > 0).all() and (low_90 <= high_90)[:, :2].all()
    assert model.heads.heads["wave"].config.kind == "categorical" and (uncertainties[:, 2] < 1).all()


@pytest.mark.parametrize("choice", [name for name in choices_of("model") if name != "base"])
def test_every_model_begins_with_weights_that_are_a_function_of_the_seed(choice):
    def weights_of(seed):
        torch.manual_seed(seed)
        model = build_model(running.plain("train", "model", f"model={choice}"), SPEC)
        return {name: one.detach() for name, one in model.named_parameters()}

    first, same, other = weights_of(3), weights_of(3), weights_of(4)
    assert all(torch.equal(one, same[name]) for name, one in first.items())
    assert not torch.equal(first["heads.linear.weight"], other["heads.linear.weight"])
    drawn = [name for name, one in first.items() if name.startswith("network.") and one.ndim > 1 and one.std() > 0]
    assert drawn and not any(torch.equal(first[name], other[name]) for name in drawn)


@pytest.mark.parametrize("spectral", ["", *choices_of("spectral")])
@pytest.mark.parametrize("synth", choices_of("synth"))
def test_every_synth_can_be_analysed_by_its_own_front_end_and_most_by_others(synth, spectral):
    require_installed(synth)
    given = (f"synth={synth}", f"spectral={spectral}") if spectral else (f"synth={synth}",)
    source = load_source(parse_recipe(running.recipe(*given)))
    assert source.front_end.visible_seconds > 0.9 * source.recipe.synth.duration
    assert source.name.endswith(
        f"_{synth}_{len(source.synth.space)}p" + "_mel" * (source.recipe.spectral.type == "mel")
    )


QUICK = ("example", "moog_basic_online", "trivial_micro_small_regression_decay_time")


@pytest.mark.long
@pytest.mark.parametrize(
    "experiment",
    [
        pytest.param(one, marks=[] if one in QUICK else pytest.mark.slow)
        for one in EXPERIMENTS
        if one != "adapt_to_recordings"  # tests/data/test_recordings_datamodule.py
    ],
)
def test_every_experiment_trains_and_tests_a_little(experiment, data_root, saw, tmp_path):
    require_installed(experiment)
    small = ("dataset.size=64", "trainer.max_epochs=1", "trainer=cpu")
    limits = [f"++trainer.limit_{stage}_batches=2" for stage in ("train", "val", "test")]
    config = running.composed("train", f"experiment={experiment}", *small)
    given = config.data.get("data_dir") and [f"data.data_dir={saw}"]  # a dataset that no config describes
    if experiment == "fashion_mnist":  # a package of Debian
        write_mnist(tmp_path / "images")
        given = [f"data.root={tmp_path}/images"]
    score = running.run("train", data_root, tmp_path, f"experiment={experiment}", *small, *limits, *(given or []))
    assert score is not None and score >= 0
    assert (tmp_path / "test_results.json").is_file()
    shutil.rmtree(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_small_experiments_are_smoke_tests_and_all_others_learn_from_enough_clips(experiment):
    size = running.plain("train", "dataset", f"experiment={experiment}")["size"]
    small = "_small" in experiment
    # a plug-in is slow, and a map has 2,048 labels
    sizes = {"yardstick": 131072, "inversynth": 131072, "nekobi": 4096, "segment_notes": 4096}
    assert size == (256 if small else sizes.get(experiment, 16384))
    assert ("Smoke test" in (running.CONFIGS / f"experiment/{experiment}.yaml").read_text()) == small


@pytest.mark.parametrize(("synth", "size"), [("simple_saw", 256), ("simple_saw_classic", 256), ("moog_basic", 256),
                                             ("moog_envelope", 512), ("moog_resonance", 384)])  # fmt: skip
def test_generation_makes_small_sets_and_training_large_ones(synth, size):
    assert running.plain("generate", "dataset", f"synth={synth}")["size"] == size
    assert running.plain("train", "dataset", f"synth={synth}")["size"] == 16384
    assert running.plain("train", "dataset", f"synth={synth}", "dataset=small")["size"] == size
    assert running.plain("train", "dataset", f"synth={synth}", "dataset.size=99")["size"] == 99


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_says_what_it_is_and_how_to_run_it(experiment):
    lines = (running.CONFIGS / f"experiment/{experiment}.yaml").read_text().splitlines()
    header = [line for line in lines[1:] if line.startswith("#")]
    assert lines[0] == "# @package _global_"
    assert not {"# TODO", "# HEADER"} & set(header), "a header still to be written"
    assert any(f"experiment={experiment}" in line for line in header)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "shares"),
    [
        ("trivial_micro_small_regression", {"note_velocity": 0.5, "log10_decay_time": 0.3}),
        ("simple_saw_16k", {"note_velocity": 0.1, "log10_decay_time": 0.1}),
        ("moog_basic", dict.fromkeys(["note_velocity", "log10_decay_time", "filter_cutoff", "filter_resonance"], 0.3)),
    ],
)
def test_experiments_learn_what_they_are_for(experiment, shares, data_root, tmp_path):
    """Errors on the test split relative to the mean baseline."""
    running.run("train", data_root, tmp_path, f"experiment={experiment}", "trainer=cpu", whole=True)
    rows = {row["name"]: row for row in json.loads((tmp_path / "test_results.json").read_text())["rows"]}
    found = {name: rows[name]["mae"] / rows[name]["baseline"] for name in shares}
    assert all(found[name] < share for name, share in shares.items()), found
