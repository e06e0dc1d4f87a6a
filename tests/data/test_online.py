"""Fresh clips: the bytes a file would hold, a function of (seed, epoch, number), in any process and after any stop."""

import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from src.data.generate import generate
from src.data.online import EPOCH, FRESH, FreshClips, OnlineLoader, Share
from src.data.source import load_source
from src.data.vimh_dataset import VIMHDataset
from src.parameters.space import ParameterSpace
from src.utils.errors import UserError
from tests.data.conftest import tiny_recipe


def clips_of(seed=0, labels="exact"):
    return FreshClips(load_source(tiny_recipe()), seed, labels)


def loader_of(epoch_size=3072, batch_size=64, clips=None, **settings):
    return OnlineLoader(clips or clips_of(), epoch_size, batch_size, **settings)


def epoch_of(loader, epoch=0):
    loader.set_epoch(epoch)
    return list(loader)


def rendered(clips, *share):
    return {name: torch.from_numpy(value) for name, value in clips.render(Share(*share)).items()}


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert value.dtype == other[name].dtype
            torch.testing.assert_close(value, other[name], rtol=0, atol=0)


@pytest.mark.parametrize("labels", ["exact", "quantised"])
def test_clips_have_the_bytes_and_labels_of_a_file_of_the_same_parameters(tmp_path, monkeypatch, labels):
    draw = ParameterSpace.sample
    with monkeypatch.context() as patch:
        moved = lambda self, seed, index, *rest: draw(self, seed, FRESH + 5 * EPOCH + index, *rest)  # noqa: E731
        patch.setattr(ParameterSpace, "sample", moved)
        directory, _ = generate(tiny_recipe(), tmp_path)
    stored = VIMHDataset(directory, "train", labels, verify=True).__getitems__(range(100))
    assert stored["image"].float().std() > 10
    assert_same([rendered(clips_of(labels=labels), 5, 0, 1, 100)], [stored])
    step_of_three = {name: value[7::3] for name, value in stored.items()}
    assert_same([rendered(clips_of(labels=labels), 5, 7, 3, 31)], [step_of_three])


def test_no_clip_comes_twice_and_none_is_a_files_whatever_the_seeds():
    space = load_source(tiny_recipe()).synth.space
    rows = [space.sample(seed, 0, 500) for seed in range(3)]
    fresh = [clips_of(seed) for seed in range(3)]
    rows += [space.denormalize(one.render(Share(epoch, 0, 1, 100))["target"]) for one in fresh for epoch in (0, 1, 999)]
    rows = np.concatenate(rows).astype(np.float32)
    assert len(np.unique(rows.round(5), axis=0)) == len(rows) == 3 * 500 + 9 * 100


def test_a_discrete_space_is_refused_since_its_clips_are_those_of_the_test():
    entry = {"kind": "ordinal", "min": 64, "step": 7, "max": 127}
    source = load_source(tiny_recipe(**{"synth.parameters": {"note_velocity": entry}}))
    with pytest.raises(UserError, match=r"no parameter is continuous, .* the 10 combinations .*; give data=vimh$"):
        FreshClips(source, 0)


def test_an_epoch_is_whole_batches_of_a_function_of_seed_and_epoch():
    batches = epoch_of(loader_of(3000), 4)
    assert [len(batch["target"]) for batch in batches] == [64] * 46 and len(loader_of(3000)) == 46
    assert_same(batches, epoch_of(loader_of(3000), 4))
    for other in (epoch_of(loader_of(3000), 5), epoch_of(loader_of(3000, clips=clips_of(1)), 4)):
        assert not (batches[0]["image"] == other[0]["image"]).all()
    whole = rendered(clips_of(), 4, 0, 1, 46 * 64)
    for name, value in whole.items():
        torch.testing.assert_close(torch.cat([batch[name] for batch in batches]), value, rtol=0, atol=0)


def test_processes_share_each_batch_of_one_that_trains_alone():
    alone = epoch_of(loader_of(2000, 96), 1)
    shares = [epoch_of(loader_of(2000, 32, rank=rank, world_size=3), 1) for rank in range(3)]
    dealt = [
        {name: torch.stack([one[name] for one in parts], dim=1).flatten(0, 1) for name in parts[0]}
        for parts in zip(*shares, strict=True)
    ]
    assert_same(dealt, alone)


@pytest.mark.long
def test_workers_render_what_this_process_would_and_draw_nothing_from_the_models_random_numbers():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    with_workers, without = loader_of(workers=2), loader_of()
    for epoch in (0, 1, 2, 7):  # the last is not what was rendered ahead
        assert_same(epoch_of(with_workers, epoch), epoch_of(without, epoch))
    torch.testing.assert_close(torch.get_rng_state(), state)
    assert len(multiprocessing.active_children()) == 2
    with_workers.close()
    assert not multiprocessing.active_children()
    assert_same(epoch_of(with_workers, 3), epoch_of(without, 3))
    with_workers.close()


@pytest.mark.slow
def test_workers_that_start_from_nothing_render_the_same(monkeypatch):
    """As on macOS and Windows."""
    start = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        loader = loader_of(workers=1)
        assert_same(epoch_of(loader), epoch_of(loader_of()))
        loader.close()
    finally:
        multiprocessing.set_start_method(start, force=True)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("served", [0, 5, 16, 47, 48])
def test_a_loader_goes_on_where_a_checkpoint_was(workers, served):
    first = loader_of(workers=workers)
    first.set_epoch(2)
    batches = iter(first)
    for _ in range(served):
        next(batches)
    state = first.state_dict()
    rest = [*batches, *epoch_of(first, 3)]
    resumed = loader_of(workers=workers)
    resumed.load_state_dict(state)
    assert_same(
        [*epoch_of(resumed, 2), *epoch_of(resumed, 3)], rest if served else epoch_of(loader_of(), 2) + rest[48:]
    )
    for loader in (first, resumed):
        loader.close()


def test_an_epoch_that_was_cut_short_does_not_shorten_the_next():
    loader = loader_of(workers=1)
    loader.set_epoch(0)
    batches = iter(loader)
    next(batches), next(batches)  # as trainer.limit_train_batches=2
    resumed = loader_of()
    resumed.load_state_dict(loader.state_dict())
    expected = epoch_of(loader_of(), 1)
    assert_same(epoch_of(resumed, 1), expected)
    assert_same(epoch_of(loader, 1), expected)
    loader.close()


class Faulty(FreshClips):
    """Ends a worker, by a fault of the recipe's or by force, when it comes to epoch 1."""

    def render(self, share):
        if share.epoch == 1 and self.seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if share.epoch == 1:
            raise UserError("voice tiny renders non-finite samples; narrow the ranges")
        return super().render(share)


@pytest.mark.parametrize(("seed", "words"), [(0, "^voice tiny renders"), (1, "^data.workers: a process .* was killed")])
def test_what_ends_a_worker_is_one_line(seed, words):
    loader = loader_of(clips=Faulty(load_source(tiny_recipe()), seed), workers=1)
    with pytest.raises(UserError, match=words) as error:
        epoch_of(loader, 0), epoch_of(loader, 1)
    assert "\n" not in str(error.value)
    loader.close()
