"""The datamodule: makes what is absent, touches nothing that is there, and keeps test apart."""

import threading

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.fabric.utilities.data import _set_sampler_epoch

from src.data.generate import generate
from src.data.vimh_datamodule import VIMHDataModule
from src.utils.errors import UserError
from tests.data.conftest import tiny_config
from tests.data.references import edit_info, read_info, record, snapshot, write_ancestor


def served(loader, epoch=0):
    """Return an epoch's batches, {name: array} each."""
    _set_sampler_epoch(loader, epoch)  # as Lightning's loops do
    return [{name: value.numpy() for name, value in batch.items()} for batch in loader]


def joined(loader, key="target", epoch=0):
    return np.concatenate([batch[key] for batch in served(loader, epoch)])


def test_generates_what_is_absent_and_only_once(tmp_path, tiny):
    module = VIMHDataModule(recipe=tiny_config(), root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert module.spec.name == "tiny" and module.data_dir == tmp_path / "tiny"
    assert (tmp_path / "tiny/train").read_bytes() == (tiny / "train").read_bytes()
    before = snapshot(tmp_path)
    again = VIMHDataModule(recipe=tiny_config(), root=tmp_path)
    for loader in (again.train_dataloader(), again.val_dataloader(), again.test_dataloader()):
        served(loader)
    assert snapshot(tmp_path) == before


def test_generates_under_the_name_that_data_dir_gives(tmp_path):
    module = VIMHDataModule(data_dir=tmp_path / "deep/mine", recipe=tiny_config())
    assert len(module.dataset("train")) == 120
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["mine"]


def test_an_existing_data_dir_is_used_as_it_is(tiny, copy_of):
    directory = copy_of(tiny)
    before = snapshot(directory)
    module = VIMHDataModule(data_dir=directory, recipe=tiny_config(**{"dataset.seed": 9}))
    assert len(module.dataset("test")) == 15 and snapshot(directory) == before


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"dataset.seed": 9}, "dataset.seed = 0, but 9 is given"),
        ({"dataset.size": 151}, "dataset.size = 150, but 151"),
        ({"spectral.floor_db": -70.0}, "spectral.floor_db = -80.0, but -70.0"),
        ({"synth.settings": {"drive": 1.0}}, "synth.settings.drive = None, but 1.0"),
        ({"spectral.channels": ["magnitude", "modulation"]}, "spectral.channels = "),
    ],
)
def test_a_directory_of_another_recipe_is_refused_naming_the_key(tiny, copy_of, changes, key):
    directory = copy_of(tiny)
    before = snapshot(directory)
    module = VIMHDataModule(recipe=tiny_config(**changes), root=directory.parent)
    with pytest.raises(UserError) as error:
        module.setup("fit")
    text = str(error.value)
    assert text.startswith(f"{directory}: was generated with {key}") and "\n" not in text
    assert snapshot(directory) == before


def test_a_directory_that_is_no_dataset_is_refused(tmp_path):
    (tmp_path / "tiny").mkdir()
    with pytest.raises(UserError, match="tiny: holds no vimh_dataset_info"):
        VIMHDataModule(recipe=tiny_config(), root=tmp_path).setup()
    assert not list((tmp_path / "tiny").iterdir())


def test_an_absent_directory_without_a_recipe_is_refused(tmp_path):
    with pytest.raises(UserError, match="absent: does not exist"):
        VIMHDataModule(data_dir=tmp_path / "absent").setup()


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"batch_size": 0}, "data.batch_size: 0 given"),
        ({"eval_batch_size": -1}, "data.eval_batch_size: -1 given"),
        ({"val_fraction": 1.0}, "data.val_fraction: 1.0 given"),
        ({"labels": "all"}, "data.labels: 'all' given"),
        ({"data_dir": None}, "data.data_dir: neither this nor data.recipe"),
    ],
)
def test_settings_are_checked_at_once(tiny, settings, part):
    with pytest.raises(UserError, match=part):
        VIMHDataModule(**{"data_dir": tiny, **settings})


def test_loaders_serve_every_record_once(tiny):
    module = VIMHDataModule(tiny, batch_size=32, eval_batch_size=4)
    for split, loader in (("val", module.val_dataloader()), ("test", module.test_dataloader())):
        np.testing.assert_array_equal(joined(loader), module.dataset(split).targets())
        assert [len(batch["target"]) for batch in served(loader)] == [4, 4, 4, 3]
    targets = joined(module.train_dataloader())
    assert len(targets) == 96  # a last batch of 24 is left out, a different one every epoch
    assert len(np.unique(targets, axis=0)) == 96


def test_a_train_split_below_a_batch_is_served_whole(tiny):
    assert len(joined(VIMHDataModule(tiny, batch_size=512).train_dataloader())) == 120


def test_shuffling_is_a_function_of_seed_and_epoch_alone(tiny):
    def epoch(number, seed=0):
        torch.manual_seed(np.random.default_rng().integers(1 << 30))  # whatever else was drawn
        return joined(VIMHDataModule(tiny, batch_size=40, seed=seed).train_dataloader(), "image", number)

    np.testing.assert_array_equal(epoch(0), epoch(0))
    np.testing.assert_array_equal(epoch(3), epoch(3))
    assert (epoch(0) != epoch(1)).any() and (epoch(0) != epoch(0, seed=1)).any()
    loader = VIMHDataModule(tiny, batch_size=40).train_dataloader()
    in_turn = [joined(loader, "image", number) for number in range(4)]
    np.testing.assert_array_equal(in_turn[3], epoch(3))  # as a resumed run sees it


def test_loading_draws_nothing_from_the_models_random_numbers(tiny):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    served(VIMHDataModule(tiny, batch_size=40).train_dataloader())
    torch.testing.assert_close(torch.get_rng_state(), state)


@pytest.fixture
def ancestor(tmp_path):
    """A dataset without `val`: 100 train, 20 test."""
    write_ancestor(tmp_path / "old", {"train": 100, "test": 20})
    return tmp_path / "old"


def held_out(directory, **settings):
    module = VIMHDataModule(directory, eval_batch_size=7, **settings)
    module.setup("fit")
    return module.dataset("train").indices, module.dataset("val").indices


def test_validation_comes_out_of_train_where_there_is_no_val(ancestor):
    before = snapshot(ancestor)
    train, val = held_out(ancestor)
    assert len(val) == 10 and sorted([*train, *val]) == list(range(100))
    for one, other in zip((train, val), held_out(ancestor), strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(held_out(ancestor, seed=1)[1]) != set(val)
    assert len(held_out(ancestor, val_fraction=0.25)[1]) == 25
    assert snapshot(ancestor) == before


@pytest.mark.parametrize("name", ["val", "val_params.npy", "train_params.npy"])
def test_a_file_that_is_gone_is_not_made_up_for(tiny, copy_of, name):
    directory = copy_of(tiny)
    (directory / name).unlink()
    (directory / "val_batch").unlink()
    with pytest.raises(UserError, match=f"/{name}: no such file"):
        VIMHDataModule(directory).setup("fit")


def test_what_is_held_out_is_what_is_served(ancestor):
    codes = np.frombuffer((ancestor / "train").read_bytes(), np.uint8).reshape(100, -1)[:, [16, 18]]
    module = VIMHDataModule(ancestor, batch_size=9)
    train, val = held_out(ancestor)
    np.testing.assert_allclose(joined(module.val_dataloader()) * 255, codes[val], rtol=1e-5)
    got = {tuple(row) for row in np.rint(joined(module.train_dataloader()) * 255).astype(int).tolist()}
    assert got <= {tuple(row) for row in codes[train].tolist()}


def test_too_few_records_to_hold_any_out(tmp_path):
    write_ancestor(tmp_path / "old", {"train": 1, "test": 1})
    with pytest.raises(UserError, match="1 records are too few for a validation split"):
        VIMHDataModule(tmp_path / "old").setup("fit")


@pytest.mark.parametrize("kind", ["ours", "ancestors"])
def test_a_poisoned_test_file_never_reaches_train_or_val(tiny, copy_of, ancestor, kind):
    directory = copy_of(tiny) if kind == "ours" else ancestor
    module = VIMHDataModule(directory, batch_size=10, verify=True)
    expected = [joined(module.train_dataloader(), "image"), joined(module.val_dataloader(), "image")]
    (directory / "test").write_bytes(b"\xff" * 10_000)
    again = VIMHDataModule(directory, batch_size=10, verify=True)
    again.setup("fit")
    for loader, images in zip((again.train_dataloader(), again.val_dataloader()), expected, strict=True):
        np.testing.assert_array_equal(joined(loader, "image"), images)
    with pytest.raises(UserError, match="/test: "):
        again.setup("test")
    (directory / "test").unlink()  # nor is it needed
    assert len(joined(VIMHDataModule(directory, batch_size=10).train_dataloader())) == len(expected[0])


def test_training_never_opens_test(tiny, monkeypatch):
    opened = []
    from src.data import vimh_dataset

    original = vimh_dataset.open_split

    def open_split(directory, split, *rest):
        opened.append(split)
        return original(directory, split, *rest)

    monkeypatch.setattr(vimh_dataset, "open_split", open_split)
    module = VIMHDataModule(tiny)
    module.setup("fit")
    served(module.train_dataloader()), served(module.val_dataloader())
    assert set(opened) == {"train", "val"}


def test_verify_reads_every_file(tiny, copy_of):
    directory = copy_of(tiny)
    sums = read_info(directory)["sha256"]
    edit_info(directory, sha256={**sums, "val_params.npy": "0" * 64})
    VIMHDataModule(directory).setup("fit")
    with pytest.raises(UserError, match=r"val_params.npy: sha256 .* found, 000000000000\.\.\. expected"):
        VIMHDataModule(directory, verify=True).setup("fit")


class Recorder(LightningModule):
    """Learns nothing and remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen, self.kinds = {}, set()

    def training_step(self, batch, index):
        labels = np.rint(batch["target"][:, 0].numpy() * 255).astype(int).tolist()
        self.seen.setdefault(self.current_epoch, []).append(labels)
        self.kinds.add((batch["image"].dtype, float(batch["image"].max()) <= 1))
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(module, epochs=3):
    recorder = Recorder()
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = Trainer(accelerator="cpu", max_epochs=epochs, **dict.fromkeys(quiet, False))
    trainer.fit(recorder, datamodule=module)
    return recorder


@pytest.mark.filterwarnings("ignore:.*does not have many workers|.*val_dataloader.*|.*validation_step")
@pytest.mark.parametrize("shapes", [False, True], ids=["one shape", "three shapes"])
def test_every_epoch_has_an_order_of_its_own(ancestor, shapes):
    if shapes:
        cycle = [(1, 3, 4), (1, 2, 9), (1, 5, 5)]
        rows = [record(np.full(cycle[n % 3], n), [(0, n), (1, 0)]) for n in range(100)]
        (ancestor / "train").write_bytes(b"".join(rows))
    first, again = (fit(VIMHDataModule(ancestor, batch_size=10, seed=4)) for _ in range(2))
    assert first.seen == again.seen
    assert first.seen[0] != first.seen[1] != first.seen[2]
    assert first.kinds == {(torch.float32, True)}  # bytes until they are on the device
    if shapes:
        trained = sorted(label for batch in first.seen[0] for label in batch)
        assert trained == held_out(ancestor, seed=4)[0].tolist()
        assert all(len({label % 3 for label in batch}) == 1 for epoch in first.seen.values() for batch in epoch)


def test_the_length_of_a_loader_over_shapes(ancestor):
    rows = [record(np.zeros((1, 2 + n % 2, 4)), [(0, n), (1, 0)]) for n in range(100)]
    (ancestor / "train").write_bytes(b"".join(rows))
    loader = VIMHDataModule(ancestor, batch_size=10).train_dataloader()
    assert len(loader) == len(served(loader)) >= 9


def test_worker_processes_serve_the_same(tiny):
    expected = joined(VIMHDataModule(tiny, batch_size=40).train_dataloader(), "image")
    loader = VIMHDataModule(tiny, batch_size=40, num_workers=1).train_dataloader()
    np.testing.assert_array_equal(joined(loader, "image"), expected)


def test_several_at_once_generate_what_is_absent_once(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        "src.data.generate.generate", lambda *given, **options: made.append(generate(*given, **options))
    )
    modules = [VIMHDataModule(recipe=tiny_config(), root=tmp_path) for _ in range(3)]
    threads = [threading.Thread(target=module.prepare_data) for module in modules]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(made) == 1 and {module.data_dir for module in modules} == {tmp_path / "tiny"}
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
