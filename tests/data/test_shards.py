"""Shards: merged they are the single run's files, byte by byte, and nothing else is ever merged."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from src.data import shards
from src.data.generate import generate
from src.data.recipe import parse_recipe
from src.data.shards import make_shard, merge_shards, shard_indices
from src.data.source import Source
from src.utils.errors import UserError
from tests import running
from tests.data.conftest import tiny_recipe
from tests.data.vimh.test_writer import full_disk

ROOT = Path(__file__).parents[2]


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def sharded(root, recipe, num_shards, order=None, **merging):
    for shard in order or range(num_shards):
        make_shard(recipe, root, shard, num_shards, workers=1)
    return merge_shards(recipe, root, num_shards, **merging)[0]


@pytest.mark.parametrize("size", [3, 63, 64, 65, 1000])
@pytest.mark.parametrize("num_shards", [1, 2, 3, 16, 17])
def test_shards_cover_every_block_once(size, num_shards):
    blocks = [block for shard in range(num_shards) for block in shard_indices(size, shard, num_shards)]
    assert blocks == list(range(len(blocks))) and len(blocks) == -(-size // 64)
    lengths = [len(shard_indices(size, shard, num_shards)) for shard in range(num_shards)]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("num_shards", "changes"),
    [
        (1, {}),
        (3, {"dataset.size": 301}),
        (16, {"dataset.size": 1500, "dataset.shuffle": True}),
        (5, {"dataset.size": 190, "dataset.sampling": "grid"}),  # more shards than blocks
        (2, {"dataset.size": 190, "dataset.sampling": "grid", "dataset.shuffle": True}),
        (3, {"dataset.sampling": "sobol", "dataset.seed": 7}),
        (3, {"spectral.channels": ["magnitude", "temporal_envelope"], "spectral.image_scaling": "per_sample"}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:The balance properties")
def test_merged_shards_are_the_single_runs_files(tmp_path, monkeypatch, num_shards, changes):
    recipe = tiny_recipe(**changes)
    whole, _ = generate(recipe, tmp_path / "whole", pickle=True)
    monkeypatch.setattr(shards, "_CHUNK_BYTES", 7000)  # 80 records: chunks that end amid blocks
    order = random.Random(num_shards).sample(range(num_shards), num_shards)
    merged = sharded(tmp_path / "parts", recipe, num_shards, order, pickle=True)
    assert contents(merged) == contents(whole)


@pytest.mark.long
def test_a_shipped_envelope_synth_in_shards(tmp_path):
    recipe = parse_recipe(running.recipe("synth=moog_envelope", "dataset.size=130", "synth.duration=1.0"))
    whole, _ = generate(recipe, tmp_path / "whole")
    assert contents(sharded(tmp_path / "parts", recipe, 2)) == contents(whole)


def test_what_is_made_is_not_made_again(tmp_path, monkeypatch):
    place = make_shard(tiny_recipe(), tmp_path, 0, 2)
    before = contents(place)
    monkeypatch.setattr(Source, "block", lambda *_: pytest.fail("rendered again"))
    assert make_shard(tiny_recipe(), tmp_path, 0, 2) == place and contents(place) == before


DAMAGES = {
    "flip": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
}


@pytest.mark.parametrize("name", ["records", "values", "shard.json"])
@pytest.mark.parametrize("damage", [*DAMAGES, "remove"])
def test_a_damaged_shard_is_never_merged_and_made_again_alone(tmp_path, name, damage):
    recipe = tiny_recipe()
    places = [make_shard(recipe, tmp_path, shard, 2) for shard in range(2)]
    whole, path = contents(places[1]), places[1] / name
    kept = places[0].stat().st_mtime_ns, contents(places[0])
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(UserError, match=r"1-of-2: its files are damaged|1 of 2 shards are missing"):
        merge_shards(recipe, tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.shards"]
    make_shard(recipe, tmp_path, 1, 2)
    assert contents(places[1]) == whole
    assert (places[0].stat().st_mtime_ns, contents(places[0])) == kept


@pytest.mark.parametrize(
    ("changes", "num_shards", "fault"),
    [
        ({"dataset.seed": 1}, 2, r"0-of-2: was made with dataset.seed = 0, but 1 is given; .*overwrite=true"),
        ({"dataset.size": 151}, 2, r"0-of-2: was made with dataset.size = 150, but 151 is given"),
        ({"synth.sample_rate": 16000}, 2, r"0-of-2: was made with synth.sample_rate = 8000"),
        ({}, 3, r"3 of 3 shards are missing \(there are shards of num_shards=2\); make them: .* shard=0,1,2$"),
    ],
    ids=["seed", "size", "recipe", "num_shards"],
)
def test_foreign_shards_are_refused_in_a_line(tmp_path, changes, num_shards, fault):
    for shard in range(2):
        make_shard(tiny_recipe(), tmp_path, shard, 2)
    with pytest.raises(UserError, match=fault) as error:
        merge_shards(tiny_recipe(**changes), tmp_path, num_shards)
    assert "\n" not in str(error.value)
    if num_shards == 2:
        with pytest.raises(UserError, match=fault):
            make_shard(tiny_recipe(**changes), tmp_path, 0, 2)
        make_shard(tiny_recipe(**changes), tmp_path, 0, 2, overwrite=True)
        with pytest.raises(UserError, match="1-of-2"):  # the other one is still foreign
            merge_shards(tiny_recipe(**changes), tmp_path, 2)


def test_a_renamed_shard_and_another_programs_shard_are_foreign(tmp_path, monkeypatch):
    make_shard(tiny_recipe(), tmp_path, 0, 2)
    shutil.copytree(tmp_path / "tiny.shards/0-of-2", tmp_path / "tiny.shards/1-of-2")
    with pytest.raises(UserError, match="1-of-2: was made with shard=0 num_shards=2"):
        merge_shards(tiny_recipe(), tmp_path, 2)
    monkeypatch.setattr(shards, "__version__", "99")
    with pytest.raises(UserError, match=r"program_version = .*, but 99 is given"):
        make_shard(tiny_recipe(), tmp_path, 0, 2)


def test_missing_shards_are_named_with_the_command_that_makes_them(tmp_path):
    make_shard(tiny_recipe(), tmp_path, 1, 3)
    (tmp_path / "tiny.shards/.0-of-3.partial-another-machine-7").mkdir()
    with pytest.raises(UserError, match=r"tiny.shards: 2 of 3 shards are missing; make them: .* shard=0,2$"):
        merge_shards(tiny_recipe(), tmp_path, 3)
    with pytest.raises(UserError, match="2 of 2 shards are missing"):
        merge_shards(tiny_recipe(), tmp_path / "nowhere", 2)


def test_a_merged_dataset_is_not_touched_and_shards_go_when_told_to(tmp_path):
    recipe = tiny_recipe()
    merged = sharded(tmp_path, recipe, 2)
    before = contents(merged)
    for again in (lambda: make_shard(recipe, tmp_path, 0, 2), lambda: merge_shards(recipe, tmp_path, 2)):
        with pytest.raises(UserError, match="tiny: already exists"):
            again()
    (tmp_path / "tiny.shards/0-of-7").mkdir()  # not of this merge
    sharded(tmp_path / "other", recipe, 2, keep=False)
    merge_shards(recipe, tmp_path, 2, overwrite=True, keep=False)
    assert contents(merged) == before
    assert [path.name for path in (tmp_path / "tiny.shards").iterdir()] == ["0-of-7"]
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["tiny"]


def test_after_a_merge_that_removed_its_shards_the_dataset_exists(tmp_path):
    merged = sharded(tmp_path, tiny_recipe(), 2, keep=False)
    with pytest.raises(UserError, match="tiny: already exists and was not changed; give overwrite=true"):
        merge_shards(tiny_recipe(), tmp_path, 2, keep=False)
    assert list(tmp_path.iterdir()) == [merged]


@pytest.mark.parametrize(("step", "removed"), [("_remove_all", 0), ("clear_remains", 0), ("clear_remains", 2)])
def test_what_a_killed_merge_was_to_remove_goes_when_it_is_given_again(tmp_path, monkeypatch, step, removed):
    """Unless all are there and whole: they may be needed yet, to make the dataset again."""
    calls = []

    def kill(place):
        calls.append(place)
        if len(calls) > removed:
            raise KeyboardInterrupt

    monkeypatch.setattr(shards, step, lambda place, *_: kill(place))
    with pytest.raises(KeyboardInterrupt):
        sharded(tmp_path, tiny_recipe(), 3, keep=False)
    monkeypatch.undo()
    assert len(list(tmp_path.glob("tiny.shards/*"))) == 3 - removed
    with pytest.raises(UserError, match="tiny: already exists"):
        merge_shards(tiny_recipe(), tmp_path, 3)
    assert len(list(tmp_path.glob("tiny.shards/*"))) == 3 - removed
    with pytest.raises(UserError, match="tiny: already exists"):
        merge_shards(tiny_recipe(), tmp_path, 3, keep=False)
    assert (tmp_path / "tiny.shards").exists() == (step == "_remove_all")


def test_shards_stay_where_the_dataset_that_exists_is_another(tmp_path):
    make_shard(tiny_recipe(), tmp_path, 0, 2)
    generate(tiny_recipe(**{"dataset.seed": 1}), tmp_path)
    with pytest.raises(UserError, match="tiny: already exists"):
        merge_shards(tiny_recipe(), tmp_path, 2, keep=False)
    assert [path.name for path in (tmp_path / "tiny.shards").iterdir()] == ["0-of-2"]


def test_shards_of_different_versions_are_merged_with_a_warning(tmp_path, caplog):
    sharded(tmp_path, tiny_recipe(), 2)
    assert "versions" not in caplog.text
    path = tmp_path / "tiny.shards/1-of-2/shard.json"
    manifest = json.loads(path.read_text())
    assert set(manifest["versions"]) == {"torch", "numpy", "numba"}
    manifest["versions"]["numpy"] = "0.9"
    path.write_text(json.dumps(manifest))
    merge_shards(tiny_recipe(), tmp_path, 2, overwrite=True)
    assert f"made with different versions, whose bytes may differ: numpy 0.9, {np.__version__}" in caplog.text
    del manifest["versions"]  # as before they were written down
    path.write_text(json.dumps(manifest))
    merge_shards(tiny_recipe(), tmp_path, 2, overwrite=True)
    assert f"numpy {np.__version__}, unknown" in caplog.text


def test_two_runs_of_one_shard_give_one_whole_shard(tmp_path, monkeypatch):
    block = Source.block

    def race(source, index):
        monkeypatch.setattr(Source, "block", block)
        make_shard(tiny_recipe(), tmp_path, 0, 1)  # another run, that is faster
        return block(source, index)

    monkeypatch.setattr(Source, "block", race)
    place = make_shard(tiny_recipe(), tmp_path, 0, 1, workers=1)
    assert [path.name for path in place.parent.iterdir()] == ["0-of-1"]
    assert contents(merge_shards(tiny_recipe(), tmp_path, 1)[0]) == contents(generate(tiny_recipe(), tmp_path / "w")[0])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("name", ["records", "values", "shard.json"])
def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_shard(tmp_path, monkeypatch, name):
    first = make_shard(tiny_recipe(), tmp_path, 0, 2)
    before = contents(first)
    full_disk(monkeypatch, name)
    with pytest.raises(
        UserError, match=r"1-of-2: the disk is full, and the incomplete dataset was removed; free some space$"
    ):
        make_shard(tiny_recipe(), tmp_path, 1, 2)
    assert list(first.parent.iterdir()) == [first] and contents(first) == before


@pytest.mark.long
def test_merging_holds_a_chunk_and_not_the_dataset(tmp_path):
    recipe = tiny_recipe(**{"dataset.size": 20_000, "spectral.height": 40, "spectral.width": 40})
    make_shard(recipe, tmp_path, 0, 1)
    tracemalloc.start()
    merged, _ = merge_shards(recipe, tmp_path, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(path.stat().st_size for path in merged.iterdir()) > 32e6 > peak


def start(tmp_path, shard):
    words = ["dataset.size=30000", "dataset.shuffle=true", f"generate.output_dir={tmp_path}", f"shard={shard}"]
    line = [sys.executable, str(ROOT / "generate_vimh.py"), *words, "num_shards=3", "generate.workers=1"]
    return subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_shards_killed_at_random_moments_merge_into_the_single_runs_bytes(tmp_path):
    """A dozen kill -9, each while a shard is being written: what has a final name is whole at any time."""
    recipe = parse_recipe(running.recipe("dataset.size=30000", "dataset.shuffle=true"))
    moments, kills = random.Random(0), 0
    while kills < 12:
        shard = kills % 3
        child = start(tmp_path, shard)
        while child.poll() is None and not list(tmp_path.glob("*.shards/.*partial*/records")):
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.4))
        if child.poll() is None:
            child.kill()
            kills += 1
        child.communicate()
        for place in tmp_path.glob("*.shards/*-of-3"):
            assert shards._is_made(place, shards.load_source(recipe), overwrite=False)
            if kills < 9:
                shutil.rmtree(place)  # one that was too fast
    for shard in range(3):
        child = start(tmp_path, shard)
        assert child.wait() == 0, child.stderr.read()
    merged, _ = merge_shards(recipe, tmp_path, 3, keep=False)
    assert [path.name for path in tmp_path.iterdir()] == [merged.name]
    assert contents(merged) == contents(generate(recipe, tmp_path / "whole")[0])
