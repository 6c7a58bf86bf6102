"""Shards written one after the other, by a run that may be stopped at any time."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tables import assert_same

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import OptionError, WriteError
from pretrained_embed.formats import PackedBlock, Table
from pretrained_embed.formats.sharded.sink import ShardedWriter
from pretrained_embed.formats.table import cut_arrays
from pretrained_embed.sources.source import from_path

from .test_sharded import INDEX, SHARDS, TOKENS, change_byte, example

ROWS = len(TOKENS)


def writer_of(folder: Path, **changes: object) -> ShardedWriter:
    options = {"rows": ROWS, "dim": 3, "shards": 3, "job": "a"} | changes
    return ShardedWriter(folder, **options)


def write_shard(
    writer: ShardedWriter, number: int, table: Table | None = None, step: int = 2
) -> None:
    """Write a shard of a table, ``step`` rows at a time."""
    table = example() if table is None else table
    start, stop = writer.bounds[number]
    with writer.shard(number) as sink:
        for begin in range(start, stop, step):
            sink.append(block(table, begin, min(begin + step, stop)))
        sink.finish(cut_arrays(table.arrays, ROWS, start, stop), {"seen": number})


def block(table: Table, start: int, stop: int) -> PackedBlock:
    return PackedBlock(table.tokens[start:stop], table.vectors[start:stop])


def read(folder: Path) -> Table:
    return formats.read_table(from_path(folder, str(folder)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def stopped(tmp_path) -> Path:
    """What a run of job "a" has left that was stopped after two of three shards."""
    writer = writer_of(tmp_path / "m")
    write_shard(writer, 0)
    write_shard(writer, 1)
    return tmp_path / "m"


@pytest.mark.parametrize("step", [1, 2, 10])
def test_rows_come_in_blocks_of_any_length(tmp_path, step):
    writer = writer_of(tmp_path / "m")
    for number in range(3):
        write_shard(writer, number, step=step)
    writer.finish(example().metadata)

    assert writer.bounds == [(0, 2), (2, 5), (5, 8)]
    assert_same(read(tmp_path / "m"), example())


def test_the_index_comes_last(stopped):
    writer = writer_of(stopped)

    assert names(stopped) == SHARDS[:2]
    with pytest.raises(WriteError, match="shard 1 of 3 was not written"):
        writer.finish({})
    assert names(stopped) == SHARDS[:2]


def test_a_run_goes_on_where_another_was_stopped(stopped):
    before = {name: (stopped / name).stat().st_mtime_ns for name in SHARDS[:2]}
    writer = writer_of(stopped)

    had = [writer.have(number) for number in range(3)]
    write_shard(writer, 2)
    writer.finish(example().metadata)

    assert had == [True, True, False]
    assert {name: (stopped / name).stat().st_mtime_ns for name in before} == before
    assert_same(read(stopped), example())


def test_shards_may_be_written_in_any_order(tmp_path):
    writer = writer_of(tmp_path / "m")
    for number in (2, 0, 1):
        write_shard(writer, number)
    writer.finish(example().metadata)

    assert_same(read(tmp_path / "m"), example())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: change_byte(path, -1),  # in the tokens
        lambda path: change_byte(path, (1 << 16) + 5),  # in the vectors
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes((path.parent / SHARDS[0]).read_bytes()),
    ],
)
def test_a_shard_that_is_not_what_was_written_is_not_taken_over(
    stopped, spoil: Callable[[Path], object]
):
    spoil(stopped / SHARDS[1])
    writer = writer_of(stopped)

    assert [writer.have(number) for number in range(3)] == [True, False, False]
    write_shard(writer, 1)
    write_shard(writer, 2)
    writer.finish(example().metadata)
    assert_same(read(stopped), example())


def test_a_shard_of_another_job_is_not_taken_over(stopped):
    writer = writer_of(stopped, job="b")

    assert not any(writer.have(number) for number in range(3))
    for number in range(3):
        write_shard(writer, number, example(seed=1))
    writer.finish(example(seed=1).metadata)
    assert_same(read(stopped), example(seed=1))


def test_a_shard_of_another_dim_is_not_taken_over(stopped):
    assert not writer_of(stopped, dim=4).have(0)


def test_a_shard_that_was_changed_after_it_was_found_right_is_not_listed(stopped):
    writer = writer_of(stopped)
    assert writer.have(0)
    assert writer.have(1)
    write_shard(writer, 2)
    change_byte(stopped / SHARDS[0], -1)

    with pytest.raises(pe.errors.FormatError, match=SHARDS[0]):
        writer.finish({})
    assert INDEX not in names(stopped)


def write_a_row(writer: ShardedWriter, *, finish: bool) -> None:
    """Write the first of the two rows of a shard."""
    with writer.shard(0) as sink:
        sink.append(block(example(), 0, 1))
        if finish:
            sink.finish({}, {})


def test_a_shard_whose_rows_end_early_is_not_there(tmp_path):
    writer = writer_of(tmp_path / "m")

    with pytest.raises(WriteError, match="2 rows were announced, 1 came"):
        write_a_row(writer, finish=True)
    with pytest.raises(WriteError, match=rf"{SHARDS[0]}: its rows were never finished"):
        write_a_row(writer, finish=False)
    assert names(tmp_path / "m") == []


_KILLED = """
import os, sys
from tests.formats.test_shards import *
writer = writer_of(Path(sys.argv[1]))
write_shard(writer, 0)
with writer.shard(1) as sink:
    sink.append(block(example(), 2, 4))
    os._exit(9)
"""


def test_what_a_killed_run_has_begun_is_removed(tmp_path):
    root = Path(__file__).parents[2]
    folder = tmp_path / "m"
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{root}:{root / 'tests'}"},
        check=False,
    )
    assert done.returncode == 9
    assert len(names(folder)) == 2

    writer = writer_of(folder)

    assert names(folder) == SHARDS[:1]
    assert writer.have(0)


def test_a_complete_matrix_is_not_written_over(tmp_path):
    formats.write_table(tmp_path / "m", example(), shards=3)
    before = names(tmp_path / "m")

    with pytest.raises(WriteError, match="a matrix is there already"):
        writer_of(tmp_path / "m")
    assert names(tmp_path / "m") == before


def test_a_folder_with_something_else_in_it_is_not_written_into(stopped):
    with pytest.raises(WriteError, match=rf"{SHARDS[0]}.*no part of 2 shards"):
        writer_of(stopped, shards=2)

    (stopped / "notes.txt").write_text("mine")
    with pytest.raises(WriteError, match=r"notes\.txt"):
        writer_of(stopped)


def test_hidden_files_are_left_alone(stopped):
    (stopped / ".cache").mkdir()

    assert writer_of(stopped).have(0)
    assert ".cache" in names(stopped)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "m").write_text("mine")

    with pytest.raises(WriteError, match="exists"):
        writer_of(tmp_path / "m")
    with pytest.raises(WriteError, match="make it first"):
        writer_of(tmp_path / "n" / "m")


@pytest.mark.parametrize("shards", [0, ROWS + 1])
def test_a_number_of_shards_that_cannot_be_is_refused(tmp_path, shards):
    with pytest.raises(OptionError, match=f"shards is {shards}"):
        writer_of(tmp_path / "m", shards=shards)


def test_memory_holds_the_rows_just_written(tmp_path):
    rows, dim = 4000, 500
    ones = np.ones((100, dim), np.float32)
    tokens = PackedTokens.pack(f"w{row}" for row in range(rows))
    writer_of(tmp_path / "warm", rows=1, dim=1, shards=1)
    tracemalloc.start()
    try:
        writer = ShardedWriter(tmp_path / "m", rows=rows, dim=dim, shards=2, job="")
        for number, (start, stop) in enumerate(writer.bounds):
            with writer.shard(number, tokens[start:stop]) as sink:
                for row in range(start, stop, len(ones)):
                    sink.append(PackedBlock(tokens[row : row + len(ones)], ones))
                sink.finish({}, {})
        writer.finish({})
        assert writer.have(0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < ones.nbytes * 4 < rows * dim * 4 // 4
