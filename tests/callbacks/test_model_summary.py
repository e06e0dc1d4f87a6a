"""The table of layers against the model's own count of parameters."""

import re

from tests import running


def test_it_lists_the_layers_with_all_parameters_in_80_columns(data_root, saw, tmp_path, capsys):
    words = ("callbacks=model_summary", "model=vit_tiny", "test=false", "logger=csv", "trainer.max_epochs=1")
    running.run("train", data_root, tmp_path, *words)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    (total,) = re.findall(r"^total +([\d,]+) +([\d,]+)$", out, re.MULTILINE)
    saved = re.search(r"num_parameters: (\d+)", (tmp_path / "csv/hparams.yaml").read_text())
    assert int(total[0].replace(",", "")) == int(saved[1])
    rows = re.findall(r"([\d,]+) +([\d,]+)$", out, re.MULTILINE)
    counts = [[int(count.replace(",", "")) for count in row] for row in rows]
    assert [sum(column[:-1]) for column in zip(*counts, strict=True)] == counts[-1]


def test_it_changes_no_random_number(data_root, saw, tmp_path):
    quick = ("test=false", "logger=csv", "trainer.max_epochs=1", "model.network.dropout=0.2")
    scores = [
        running.run("train", data_root, tmp_path / callbacks, f"callbacks={callbacks}", *quick)
        for callbacks in ("model_summary", "none")
    ]
    assert scores[0] == scores[1]
