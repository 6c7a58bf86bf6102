"""Many processes, killed processes, full disks: no store is ever wrong."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import pretrained_embed as pe
from pretrained_embed.library import cache_folder
from tests.library.stores.build_and_die import TOKENS

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="processes are forked and killed by signals here"
)

#: More of them where thoroughness is worth minutes.
ROUNDS = int(os.environ.get("PRETRAINED_EMBED_KILLS", "20"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "many.txt"
    rows = (b"w%d %d.5 -1e-3 %d\n" % (i, i * 7919 % 1000, i) for i in range(5000))
    path.write_bytes(b"the 1 2 4\n" + b"".join(rows))
    return path


@pytest.fixture
def right(source: Path) -> str:
    """Return the digest of the matrix from the source itself."""
    matrix = pe.build_matrix(TOKENS, source, library=pe.Library(stores=False))
    return hashlib.sha256(matrix.vectors.tobytes()).hexdigest()


@pytest.fixture
def run(source: Path):
    """Work in forked processes; return what became of each."""

    def run(rounds: list[dict], *, at_once: bool = False) -> list[dict]:
        task = {"source": str(source), "rounds": rounds, "at_once": at_once}
        root = Path(__file__).parents[3]
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("build_and_die.py")],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_eight_processes_make_one_store(run, right):
    answers = run([{}] * 8, at_once=True)

    assert {answer["digest"] for answer in answers} == {right}
    assert all(answer["store"] for answer in answers)
    assert sum(answer["made"] for answer in answers) == 1


def test_processes_killed_anywhere_leave_nothing_wrong(run, right):
    (whole,) = run([{"clear": True}])
    chance = random.Random(4)
    rounds = [{"die_at": chance.randrange(1, whole["calls"])} for _ in range(ROUNDS)]
    for i in range(4, ROUNDS, 5):
        rounds[i] = {"clear": i % 10 == 4}

    answers = run(rounds)

    for one, answer in zip(rounds, answers, strict=True):
        if "die_at" in one:  # beyond its last call, where the store is there already
            assert answer.get("killed") or answer["digest"] == right
        else:
            assert (answer["digest"], answer["store"]) == (right, True)
    assert sum("killed" in answer for answer in answers) > ROUNDS // 4


def test_what_a_killed_process_leaves_is_cleared_away(run, right):
    (whole,) = run([{"clear": True}])
    step = max(1, whole["calls"] // 12)

    deaths = [{"die_at": number} for number in range(step, whole["calls"], step)]
    *killed, last = run([*deaths, {}])

    assert sum("killed" in answer for answer in killed) > 4
    assert (last["digest"], last["store"]) == (right, True)
    left = sorted(path.name for path in cache_folder.locate().glob("stores/*/*"))
    assert [name for name in left if name.endswith(".part")] == []
    assert left.count("store.h5") == 1


@pytest.mark.parametrize(
    "largest", [100, 500, 9_000, 70_000, 100_000, 200_000, 300_000]
)
def test_a_disk_that_takes_no_more_is_a_clear_error(run, right, largest):
    refused, after = run([{"largest": largest}, {}])

    assert "cannot" in refused["error"]
    assert list(cache_folder.locate().glob("stores/*/.*.part")) == []
    assert (after["digest"], after["store"], after["made"]) == (right, True, 1)
