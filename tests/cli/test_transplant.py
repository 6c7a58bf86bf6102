"""The command `transplant`."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from tests.command_line import run
from tests.tools.transplant.models import OLD, read_model, table, tokenizer_json
from tests.tools.transplant.models import write_model as model_with

INPUT = "model.embed_tokens.weight"


@pytest.fixture
def model(tmp_path):
    return model_with(tmp_path / "model", {INPUT: table()})


def test_a_model_with_another_tokenizer(model, tmp_path):
    new = ["</s>", "▁dog", "qwzx"]
    (tmp_path / "new.json").write_text(tokenizer_json(new))

    result = run(
        *("transplant", model, "--tokenizer", tmp_path / "new.json"),
        *("-o", tmp_path / "out", "--init", "mean", "--multiple-of", 4, "--json"),
        *("--ledger", tmp_path / "ledger.jsonl"),
    )

    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["rows"], said["start"]["shared"]) == (4, 2)
    assert "Wrote" in result.stderr
    after = read_model(tmp_path / "out")[INPUT]
    assert after.shape[0] == 4
    assert after[1].equal(table()[OLD.index("▁dog")])
    assert json.loads((tmp_path / "out/tokenizer.json").read_text())["model"]["vocab"]
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 3


def test_a_model_with_more_tokens(model, tmp_path):
    (tmp_path / "tokens.txt").write_text("okapi\nzebra\n")
    (tmp_path / "own.txt").write_text("zebra 1 2 3 4\n")

    result = run(
        *("transplant", model, "--add", tmp_path / "tokens.txt", "--init", "mean"),
        *("-o", tmp_path / "out", "--override", tmp_path / "own.txt"),
    )

    assert result.exit_code == 0, result.stderr
    after = read_model(tmp_path / "out")[INPUT]
    assert after[: len(OLD)].equal(table())
    assert after[-1].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("options", [(), ("--tokenizer", "a", "--add", "tokens.txt")])
def test_one_of_the_two_is_needed(model, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tokens.txt").write_text("okapi\n")

    result = run("transplant", model, "-o", tmp_path / "out", *options)

    assert result.exit_code == 2
    assert "--tokenizer or --add" in result.stderr
