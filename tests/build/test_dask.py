"""Builds by the workers of Dask: separate processes that share a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

import pretrained_embed as pe
from tests.command_line import run
from tests.large import assert_same, make_parts_small, tokens, write_source


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        # what a killed worker held is not asked of it for half a minute
        dask.config.set({"distributed.comm.timeouts.connect": "3s"}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_parts_small(monkeypatch)
    return write_source(tmp_path / "vectors.txt")


@pytest.mark.parametrize("out", [None, "m.npy"])
def test_workers_give_the_same_matrix(
    out: str | None, source: Path, tmp_path: Path, client: Client
) -> None:
    expected = pe.build_matrix(tokens(), source, match="exact,lower")

    built = pe.build_matrix(
        tokens(),
        source,
        match="exact,lower",
        out=out and tmp_path / out,
        work=pe.Work(executor=client.get_executor()),
    )

    assert_same(built, expected)


def test_a_worker_killed_in_the_middle_loses_nothing(
    source: Path, tmp_path: Path, client: Client
) -> None:
    expected = pe.build_matrix(tokens(), source)
    pids = client.run(os.getpid)
    killed: list[int] = []

    def kill(done: int, _: int | None) -> None:
        if not killed:
            killed.append(next(iter(pids.values())))
            os.kill(killed[0], 9)

    built = pe.build_matrix(
        tokens(),
        source,
        out=tmp_path / "m.npy",
        work=pe.Work(executor=client.get_executor()),
        progress=kill,
    )

    assert killed
    assert_same(built, expected)


def test_the_command_takes_a_scheduler(
    source: Path, tmp_path: Path, client: Client
) -> None:
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(tokens()) + "\n")
    out = tmp_path / "m.safetensors"

    ran = run(
        *("build", "--vocab", vocab, "--source", source, "--output", out),
        *("--dask", client.scheduler.address),
    )

    assert ran.exit_code == 0, ran.output
    expected = pe.build_matrix(pe.Vocabulary.from_file(vocab), source)
    assert pe.load_matrix(out).vectors.tobytes() == expected.vectors.tobytes()


def test_a_scheduler_that_is_lost_is_one_error(
    source: Path, tmp_path: Path, client: Client
) -> None:
    out = tmp_path / "m.npy"
    lost = Client(client.scheduler.address, set_as_default=False)

    def lose(done: int, total: int | None) -> None:
        if done > source.stat().st_size:
            lost.close()

    with pytest.raises(pe.errors.WorkerError, match="scheduler is gone"):
        pe.build_matrix(
            tokens(),
            source,
            out=out,
            work=pe.Work(executor=lost.get_executor()),
            progress=lose,
        )

    assert not out.exists()
    assert list(tmp_path.glob("m.npy.work/rows-*/range-*"))
    built = pe.build_matrix(tokens(), source, out=out)
    assert_same(built, pe.build_matrix(tokens(), source))


def test_workers_read_parts_and_align_sources(
    source: Path, tmp_path: Path, client: Client
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    lines = source.read_text().splitlines(keepends=True)
    for number in range(3):
        part = folder / f"part-{number + 9}.txt"
        part.write_text("".join(lines[number * 2000 :][:2000]))
    recipe = pe.Recipe(align="shared", combine="average")

    built = pe.build_matrix(
        tokens(),
        [str(folder / "part-*"), source],
        recipe=recipe,
        out=tmp_path / "m.npy",
        work=pe.Work(executor=client.get_executor()),
    )

    expected = pe.build_matrix(tokens(), [source, source], recipe=recipe)
    assert built.vectors.tobytes() == expected.vectors.tobytes()
    for mine, theirs in zip(built.parts, expected.parts, strict=True):
        assert mine.source_rows.tolist() == theirs.source_rows.tolist()
