"""Testing a checkpoint gives, to the last digit, what training said of it."""

import json
import shutil

import pytest
import torch

from tests import running


def results_of(output):
    return json.loads((output / "test_results.json").read_text())


def test_figures_equal_those_of_training_to_the_last_digit(trained, data_root, saw, tmp_path):
    running.run("eval", data_root, tmp_path, f"ckpt_path={trained.best}")
    assert (tmp_path / "test_results.json").read_bytes() == (trained.output / "test_results.json").read_bytes()


def test_a_dataset_that_is_gone_is_made_again_byte_by_byte(trained, saw, tmp_path):
    checkpoint = shutil.copy(trained.best, tmp_path / "alone.ckpt")
    running.run("eval", tmp_path / "data", tmp_path / "out", f"ckpt_path={checkpoint}", "verify=true")
    assert results_of(tmp_path / "out") == trained.results
    for split in ("train", "val", "test"):
        assert (tmp_path / "data" / saw.name / split).read_bytes() == (saw / split).read_bytes()


def test_a_dataset_that_was_moved_is_tested_where_it_is(trained, saw, tmp_path):
    moved = shutil.copytree(saw, tmp_path / "elsewhere")
    running.run("eval", tmp_path / "none", tmp_path / "out", f"ckpt_path={trained.best}", f"data.data_dir={moved}")
    assert results_of(tmp_path / "out") == trained.results
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.labels=quantised"],
        ["data.eval_batch_size=5", "model.heads.default.kind=classification"],
        ["synth=moog_basic", "preflight.allow_blind=true", "model.auxiliary=film", "model.network.dropout=0.2"],
        ["heads=coral", "model.balance=uncertainty", "model.channels_last=true", "model.auxiliary=concat"],
        ["heads=evidential", "model.balance=gradient"],
    ],
    ids=["quantised", "classification", "moog_basic", "coral", "evidential"],
)
def test_equal_figures_whatever_was_trained(data_root, tmp_path, overrides):
    running.run("train", data_root, tmp_path / "train", *overrides, "logger=none")
    best = tmp_path / "train/checkpoints/best.ckpt"
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={best}")
    assert results_of(tmp_path / "eval") == results_of(tmp_path / "train")


def test_a_dataset_without_validation_gives_up_the_same_training_samples(data_root, saw, tmp_path):
    directory = shutil.copytree(saw, tmp_path / "ancestor")
    (directory / "val").unlink()
    info = json.loads((directory / "vimh_dataset_info.json").read_text())
    del info["val_samples"], info["generator"]
    (directory / "vimh_dataset_info.json").write_text(json.dumps(info))
    running.run("train", data_root, tmp_path / "train", f"data.data_dir={directory}", "data.val_fraction=0.3", "seed=3")
    best = tmp_path / "train/checkpoints/best.ckpt"
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={best}", f"data.data_dir={directory}")
    results = results_of(tmp_path / "eval")
    assert results == results_of(tmp_path / "train")
    assert results["image_error"] is None


def test_classes_are_counted_on_the_models_grid_whatever_the_datasets_is(data_root, saw, trained, tmp_path):
    directory = shutil.copytree(saw, tmp_path / "coarse")
    info = json.loads((directory / "vimh_dataset_info.json").read_text())
    info["generator"] = None
    for mapping in info["parameter_mappings"].values():
        mapping["step"] *= 2
    (directory / "vimh_dataset_info.json").write_text(json.dumps(info))
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={trained.best}", f"data.data_dir={directory}")
    assert results_of(tmp_path / "eval")["rows"] == trained.results["rows"]


def test_best_means_the_newest_training_run(trained, data_root, saw, tmp_path):
    shutil.copytree(trained.output / "checkpoints", tmp_path / "logs/train/runs/x/checkpoints")
    running.run("eval", data_root, tmp_path, "ckpt_path=best")
    assert results_of(tmp_path) == trained.results


def flipped(directory, name, at):
    content = bytearray((directory / name).read_bytes())
    content[at] ^= 1
    (directory / name).write_bytes(content)


def test_verify_notices_one_flipped_bit(trained, data_root, saw, tmp_path, caplog):
    directory = shutil.copytree(saw, tmp_path / "flipped")
    flipped(directory, "test", 500)
    overrides = (f"ckpt_path={trained.best}", f"data.data_dir={directory}")
    running.run("eval", data_root, tmp_path, *overrides)
    message = running.fault(caplog, "eval", data_root, tmp_path, *overrides, "verify=true")
    assert "flipped/test: sha256" in message


@pytest.mark.parametrize("fault", ["missing", "empty", "truncated", "text", "lacking", "evil"])
def test_a_checkpoint_that_is_none_is_one_line(trained, data_root, tmp_path, caplog, fault):
    path = tmp_path / "bad.ckpt"
    content = trained.best.read_bytes()
    if fault in ("lacking", "evil"):
        checkpoint = torch.load(trained.best, weights_only=True)
        if fault == "evil":
            checkpoint["model_config"]["network"]["_target_"] = "os.system"
        else:
            del checkpoint["dataset_spec"]
        torch.save(checkpoint, path)
    elif fault != "missing":
        path.write_bytes({"empty": b"", "truncated": content[: len(content) // 2], "text": b"hello"}[fault])
    message = running.fault(caplog, "eval", data_root, tmp_path, f"ckpt_path={path}")
    assert message.startswith((f"ckpt_path: {path} ", f"ckpt_path: {path}: 0 bytes"))


def test_another_dataset_is_one_line(trained, data_root, tmp_path, caplog):
    running.run("train", data_root, tmp_path, "synth=moog_basic", "preflight.allow_blind=true", "debug=fdr")
    (moog,) = data_root.glob("*128dss_moog_basic_4p")
    message = running.fault(caplog, "eval", data_root, tmp_path, f"ckpt_path={trained.best}", f"data.data_dir={moog}")
    assert "the model was trained on note_velocity 64..127" in message


def test_a_data_dir_that_does_not_exist_is_one_line(trained, data_root, tmp_path, caplog):
    given = (f"ckpt_path={trained.best}", f"data.data_dir={tmp_path / 'none'}")
    message = running.fault(caplog, "eval", data_root, tmp_path, *given)
    assert message.startswith(f"data.data_dir: {tmp_path / 'none'} does not exist; give a VIMH directory, or null")


def test_a_report_is_written_when_asked_for(trained, data_root, saw, tmp_path):
    running.run("eval", data_root, tmp_path, f"ckpt_path={trained.best}", "report=true")
    text = (tmp_path / "report.html").read_text()
    assert "note_velocity" in text and "log10_decay_time" in text and "http" not in text.replace("http-equiv", "")
    assert results_of(tmp_path) == trained.results


@pytest.mark.slow
def test_a_process_of_its_own_gives_the_same_figures(trained, data_root, saw, tmp_path):
    done = running.command(
        "src/eval.py",
        f"ckpt_path={trained.best}",
        "trainer=cpu",
        f"paths.data_dir={data_root}",
        f"hydra.run.dir={tmp_path}",
        cwd=tmp_path,
    )
    assert done.returncode == 0 and "note_velocity" in done.stdout, done.stderr
    assert results_of(tmp_path) == trained.results
