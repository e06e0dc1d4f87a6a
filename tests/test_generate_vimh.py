"""The command line of generate_vimh.py: flags, one line for every fault, and nothing left behind."""

import functools
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

import generate_vimh
from generate_vimh import to_overrides
from src.data.generate import generate
from src.data.recipe import SPLITS, parse_recipe
from tests import running

SCRIPT = "generate_vimh.py"
# 8 KB a file, where train needs 200; Python would leave its own compiled modules cut off
SMALL_DISK = f"ulimit -f 8; PYTHONDONTWRITEBYTECODE=1 exec {sys.executable}"
SMALL = ("dataset.size=70", "synth.duration=0.3")  # two blocks


def command(cwd, *arguments):
    return running.command(SCRIPT, *arguments, cwd=cwd)


def one_line(done, *parts):
    """Check that a run failed with exactly one line that holds all parts."""
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert done.returncode == 1 and len(lines) == 1, (done.returncode, lines)
    assert "Traceback" not in lines[0] and all(str(part) in lines[0] for part in parts), lines[0]


def digests(directory):
    names = [*SPLITS, *(f"{split}_params.npy" for split in SPLITS)]
    return {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in names}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["-p"], {"generate.pickle": True}),
        (["--pickle"], {"generate.pickle": True}),
        (["-s"], {"dataset.shuffle": True}),
        (["--shuffle"], {"dataset.shuffle": True}),
        (["--normalize"], {"spectral.image_scaling": "per_sample"}),
        (["--temporal-envelope"], {"spectral.channels": ["magnitude", "temporal_envelope"]}),
        (["--spectral-envelope"], {"spectral.channels": ["magnitude", "spectral_envelope"]}),
        (
            ["--spectral-envelope", "-s", "synth=moog_basic", "--temporal-envelope", "dataset.size=16384"],
            {
                "spectral.channels": ["magnitude", "temporal_envelope", "spectral_envelope"],
                "dataset.shuffle": True,
                "synth.name": "moog_basic",
                "dataset.size": 16384,
            },
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags_are_overrides(flags, expected):
    config = running.composed("generate", *to_overrides(flags))
    assert {key: OmegaConf.select(config, key) for key in expected} == expected


def test_flags_reach_hydra_and_the_config_is_shown_without_torch(tmp_path):
    done = command(tmp_path, "-s", "-p", "--normalize", "--cfg", "job")
    config = OmegaConf.create(done.stdout)
    assert (config.dataset.shuffle, config.generate.pickle) == (True, True) and done.returncode == 0
    assert config.spectral.image_scaling == "per_sample"


def test_help_names_the_groups(tmp_path):
    done = command(tmp_path, "-h")
    assert done.returncode == 0
    assert "synth: additive, faust_saw_ladder, fm, instruments, inversynth," in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["dataset.size=2"], ["dataset.size: 2 given", "give at least 3"]),
        pytest.param(
            ["dataset.sampling=lhs"],
            ["dataset.sampling: 'lhs' given", "'random', 'sobol' or 'grid'"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["spectral.height=999", "spectral.n_fft=80"],
            ["spectral: height 999 is above n_fft // 2 = 40"],
            marks=pytest.mark.slow,
        ),
        pytest.param(["spectral.floor_db=nan"], ["spectral.floor_db: nan given", "finite"], marks=pytest.mark.slow),
        pytest.param(["+synth.voices=3"], ["synth.voices: 3 given", "no such key"], marks=pytest.mark.slow),
        pytest.param(["generate.workers=0"], ["generate.workers: 0 given", "give at least 1"], marks=pytest.mark.slow),
        pytest.param(["overwrite=maybe"], ["overwrite: 'maybe' given", "give true or false"], marks=pytest.mark.slow),
        pytest.param(["~generate"], ["generate: no value given"], marks=pytest.mark.slow),
        (["~synth"], ["synth: no value given"]),
        pytest.param(
            ["num_shards=3"], ["num_shards: also give either shard=NUMBER", "or merge=true"], marks=pytest.mark.slow
        ),
        pytest.param(
            ["num_shards=3", "shard=1", "merge=true"],
            ["num_shards: also give either shard=NUMBER"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["num_shards=3", "shard=3"],
            ["shard: 3 given", "num_shards=3", "give 0 to 2"],
            marks=pytest.mark.slow,
        ),
        pytest.param(["num_shards=0", "shard=0"], ["num_shards: 0 given", "give at least 1"], marks=pytest.mark.slow),
        pytest.param(["shard=1"], ["num_shards: not given", "num_shards=16 'shard=range(16)'"], marks=pytest.mark.slow),
        pytest.param(["shard=range(3)", "num_shards=3"], ["shard=range(3)", "--multirun"], marks=pytest.mark.slow),
        pytest.param(
            ["merge=true", "num_shards=2"],
            ["2 of 2 shards are missing", "num_shards=2 shard=0,1"],
            marks=pytest.mark.slow,
        ),
        pytest.param(["generate.output_dir=s4://b/data"], ["s4://b/data", "is not supported"], marks=pytest.mark.slow),
        (["dataset.sise=3"], ["dataset.sise: no such key", "Did you mean 'dataset.size'?"]),
        pytest.param(["nothing=3"], ["nothing: no such key", "num_shards"], marks=pytest.mark.slow),
        (["synth=moog_basics"], ["synth/moog_basics", "Did you mean 'moog_basic'?"]),
        (["dataset.size"], ["dataset.size", "give key=value"]),
    ],
    ids=lambda value: value[0] if "=" in value[0] or "~" in value[0] else "",
)
def test_a_bad_config_is_one_line_naming_key_value_and_what_is_allowed(tmp_path, arguments, parts):
    one_line(command(tmp_path, *arguments), *parts)
    assert list(tmp_path.iterdir()) == []


def fault_here(tmp_path, monkeypatch, capsys, caplog, *arguments):
    """Run the command in this process; return what it printed and the one error that it ended with."""
    here = SimpleNamespace(runtime=SimpleNamespace(cwd=str(tmp_path)))
    monkeypatch.setattr(generate_vimh, "HydraConfig", SimpleNamespace(get=lambda: here))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exited:
        generate_vimh.main(running.composed("generate", "paths.output_dir=.", "generate.output_dir=data", *arguments))
    (error,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert exited.value.code == 1 and "\n" not in error
    return capsys.readouterr().out, error


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["synth.parameters.note_velocity.max=200"], ["note_velocity.max: 200 is outside 0..127 MIDI velocity"]),
        (["generate.output_dir=file/data"], ["file/data: cannot be written", "Not a directory"]),
    ],
    ids=lambda value: value[0] if "=" in value[0] else "",
)
def test_what_only_the_synth_or_the_disk_can_tell_is_one_line_too(
    tmp_path, monkeypatch, capsys, caplog, arguments, parts
):
    (tmp_path / "file").write_text("a file, not a directory")
    printed, error = fault_here(tmp_path, monkeypatch, capsys, caplog, *arguments)
    assert not printed and all(part in error for part in parts)
    assert not [path for path in tmp_path.rglob("*") if path.name not in ("file", "data")]


@pytest.mark.long
def test_another_process_makes_the_same_bytes_and_leaves_nothing_else(tmp_path):
    flags = ("-p", "-s", "--temporal-envelope", "--spectral-envelope", "--normalize")
    done = command(tmp_path, *flags, *SMALL)
    assert done.returncode == 0, done.stderr
    (made,) = (tmp_path / "data").iterdir()  # below where the command was run
    assert made.name == "vimh-32x32x3_8000Hz_0p3s_70dss_simple_saw_2p_envelopes_normalized_shuffled"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]  # no log, no run directory
    assert (made / "train_batch").exists() and json.loads((made / "vimh_dataset_info.json").read_text())[
        "channels"
    ] == 3
    assert "56 train, 7 val, 7 test" in done.stdout and "note_velocity" in done.stdout
    # another process, with another number of threads, makes the same bytes
    recipe = parse_recipe(running.recipe(*to_overrides([*flags, *SMALL])))
    assert digests(generate(recipe, tmp_path / "again", workers=1)[0]) == digests(made)


@pytest.mark.slow
def test_an_existing_dataset_is_kept_or_overwritten_as_asked(tmp_path):
    flags = ("-p", "-s", "--temporal-envelope", "--spectral-envelope", "--normalize")
    assert command(tmp_path, *flags, *SMALL).returncode == 0
    (made,) = (tmp_path / "data").iterdir()
    before = digests(made), made.stat().st_mtime_ns
    one_line(
        command(tmp_path, *flags, *SMALL, "overwrite=no"),
        made.name,
        "already exists and was not changed",
        "overwrite=true",
    )
    assert (digests(made), made.stat().st_mtime_ns) == before

    done = command(tmp_path, "--normalize", *SMALL, "overwrite=true", f"dataset.name={made.name}")
    assert done.returncode == 0 and digests(made) != before[0] and not (made / "train_batch").exists()
    # loudness was scaled away, and no envelope brings it back: said in a warning, and in the table
    assert "[WARNING] note_velocity has no measurable effect" in done.stdout
    assert [path.name for path in (tmp_path / "data").iterdir()] == [made.name]


def test_a_label_without_effect_is_shown_and_not_written(tmp_path, monkeypatch, capsys, caplog):
    given = ("synth=simple_saw_classic", "dataset.size=70")
    printed, error = fault_here(tmp_path, monkeypatch, capsys, caplog, *given)
    assert "measurable" in printed and "70 clips (56 train, 7 val, 7 test) were not written" in printed
    assert "note_velocity has no measurable effect because its range, 126..127 MIDI velocity, is too narrow" in error
    assert "nothing was written; allow_blind=true writes the dataset anyway" in error
    assert not list(tmp_path.rglob("vimh*"))


@pytest.mark.slow
def test_a_label_without_effect_is_written_where_it_is_allowed(tmp_path):
    done = command(tmp_path, "synth=simple_saw_classic", "dataset.size=70", "allow_blind=true")
    assert (
        done.returncode == 0
        and "no measurable effect" in done.stdout
        and "[WARNING] note_velocity has no" in done.stdout
    )
    (made,) = (tmp_path / "data").iterdir()
    assert json.loads((made / "vimh_dataset_info.json").read_text())["sensitivity"][0]["blind"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no ulimit")
def test_a_limit_on_file_sizes_is_one_line_and_leaves_nothing(tmp_path):
    line = f"{SMALL_DISK} {running.ROOT / SCRIPT}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    one_line(done, "File too large")
    assert list(tmp_path.rglob("*")) == [tmp_path / "data"]


def shards_of(tmp_path, *launcher):
    """Make three shards in one multirun and merge them; return the merged dataset."""
    places = (f"paths.log_dir={tmp_path / 'logs'}", "generate.output_dir=parts", "num_shards=3")
    done = command(tmp_path, "-m", *launcher, "-s", *SMALL, *places, "shard=2,0,1")
    assert done.returncode == 0, done.stderr
    merged = command(tmp_path, "-s", *SMALL, *places, "merge=true", "keep_shards=false")
    assert merged.returncode == 0 and "56 train, 7 val, 7 test" in merged.stdout, merged.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "parts"]  # nothing of Hydra's where we are
    (dataset,) = (tmp_path / "parts").iterdir()
    return dataset


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [[], ["hydra/launcher=joblib"], ["hydra/launcher=ray"]], ids=["basic", "joblib", "ray"]
)
def test_shards_of_any_launcher_merge_into_the_single_runs_bytes(tmp_path, launcher):
    if launcher:
        pytest.importorskip(f"hydra_plugins.hydra_{launcher[0].partition('=')[2]}_launcher")
    dataset = shards_of(tmp_path, *launcher)
    single, _ = generate(parse_recipe(running.recipe("dataset.shuffle=true", *SMALL)), tmp_path / "single")
    assert {path.name: path.read_bytes() for path in dataset.iterdir()} == {
        path.name: path.read_bytes() for path in single.iterdir()
    }


@pytest.mark.slow
def test_a_relative_place_is_below_where_the_command_was_given(tmp_path):
    """Jobs of some launchers run elsewhere, as this one does."""
    elsewhere = ("hydra.job.chdir=true", f"hydra.run.dir={tmp_path / 'elsewhere'}")
    done = command(tmp_path, *SMALL, *elsewhere, "num_shards=2", "shard=0")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert [path.name for path in (tmp_path / "data").glob("*.shards/*")] == ["0-of-2"]


@pytest.mark.slow
def test_a_shard_that_fails_leaves_the_others_whole(tmp_path):
    """The second of three is a shard of another seed: its line, an exit status, and the third is made all the same."""
    words = (*SMALL, f"paths.log_dir={tmp_path / 'logs'}", "num_shards=3", "dataset.name=mine")
    assert command(tmp_path, *words, "shard=1", "dataset.seed=5").returncode == 0
    done = command(tmp_path, "-m", *words, "shard=range(3)")
    output = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in output
    assert "1-of-3: was made with dataset.seed = 5, but 0 is given" in output
    assert sorted(path.name for path in tmp_path.glob("data/*.shards/*")) == ["0-of-3", "1-of-3", "2-of-3"]
    done = command(tmp_path, "-m", *words, "shard=range(3)", "overwrite=true")
    assert done.returncode == 0 and done.stdout.count("already exists") == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no ulimit")
@pytest.mark.parametrize("words", [["shard=0"], ["merge=true"]], ids=["shard", "merge"])
def test_a_full_disk_leaves_no_part_of_a_shard_or_merge(tmp_path, words):
    made = command(tmp_path, "-m", *SMALL, f"paths.log_dir={tmp_path / 'logs'}", "num_shards=2", "shard=1,0")
    assert made.returncode == 0
    (shards_dir,) = (tmp_path / "data").iterdir()
    if words == ["shard=0"]:
        (shards_dir / "0-of-2" / "shard.json").unlink()
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    arguments = " ".join([*SMALL, "num_shards=2", *words])
    line = f"{SMALL_DISK} {running.ROOT / SCRIPT} {arguments}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    one_line(done, "File too large")
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_ctrl_c_is_one_line_and_leaves_nothing(tmp_path):
    line = [sys.executable, str(running.ROOT / SCRIPT), "dataset.size=1000000", "generate.workers=1"]
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    child = subprocess.Popen(line, cwd=tmp_path, preexec_fn=heed, **pipes)
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size > 100_000 for path in (tmp_path / "data").glob(".vimh*/train")):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGINT)
    output = child.communicate(timeout=60)[0]
    assert child.returncode == 130 and "Traceback" not in output
    assert "interrupted; no partly written file was kept" in output
    assert list(tmp_path.rglob("*")) == [tmp_path / "data"]
