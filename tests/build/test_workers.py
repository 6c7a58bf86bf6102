"""Rows that workers make and write: the same, whatever goes wrong on the way."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouped import grouped

import pretrained_embed as pe
from pretrained_embed.build import ranges, sinks, workers
from tests.build.test_one_build import DIM as SMALL
from tests.build.test_one_build import RECIPES, Case, in_ranges, reverse
from tests.large import DIM, assert_same, make_parts_small, tokens, write_source

OUTPUTS = ["m.npy", "m.npz", "m.h5", "m.safetensors", "model"]


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("case"))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_parts_small(monkeypatch)
    folder = tmp_path / "source"
    folder.mkdir()
    return write_source(folder / "vectors.txt")


class Inline(Executor):
    """Does each task at once, as another process would: from its pickle."""

    def __init__(self, around: Callable[[], Any] | None = None) -> None:
        self.sizes: list[int] = []
        self._around = around

    def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
        raw = pickle.dumps((fn, args))
        self.sizes.append(len(raw))
        future: Future[Any] = Future()
        after = self._around and self._around()
        try:
            fn, args = pickle.loads(raw)  # noqa: S301  (made above)
            future.set_result(fn(*args))
        except Exception as error:  # noqa: BLE001  (it is the result)
            future.set_exception(error)
        if after:
            after()
        return future


def held(folder: Path) -> dict[str, bytes]:
    files = folder.rglob("*") if folder.is_dir() else folder.parent.glob("m*.*")
    return {path.name: path.read_bytes() for path in files if path.is_file()}


@pytest.mark.parametrize("number", [1, 8, 14, 21])
def test_processes_write_the_bytes_that_one_process_writes(
    number: int,
    case: Case,
    pool: Executor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    onto, match, combine, bad_rows = RECIPES[number]
    options: dict[str, Any] = {"match": match, "combine": combine, "oov": "parts,mean"}
    options |= {"bad_rows": bad_rows, "advise": True}
    dim = 2 * SMALL if combine == "concat" else SMALL
    if onto:
        options["onto"] = case.old[dim]
    sources = case.faulty if bad_rows else case.sound
    rows = len(case.vocabulary)
    expected = pe.build_matrix(case.vocabulary, sources, **grouped(**options))

    for out, count in zip(OUTPUTS, (3, 17, 1, 3, 17), strict=True):
        in_ranges(monkeypatch, count, rows, dim)
        written = []
        for executor in (None, pool):
            folder = tmp_path / f"{out}-{executor is None}"
            folder.mkdir()
            files = 2 if out == "model" else None
            how: Any = {"out": folder / out, "files": files, "executor": executor}
            how["memory"] = "1GB"
            built = pe.build_matrix(
                case.vocabulary, sources, **grouped(**how, **options)
            )
            assert_same(built, expected)
            assert built.ledger == expected.ledger
            assert not list(folder.glob("*.work"))
            written.append(held(folder / out))
        assert written[0] == written[1]


@pytest.mark.parametrize(
    "recipe", [{"postprocess": "center,pca:3"}, {"align": "shared"}]
)
def test_what_is_fitted_once_is_used_by_all(
    recipe: dict[str, Any], source: Path, pool: Executor, tmp_path: Path
) -> None:
    other = write_source(tmp_path / "other.txt", 6400)
    given = pe.Recipe(combine="average", **recipe)
    expected = pe.build_matrix(tokens(), [source, other], recipe=given)

    built = pe.build_matrix(
        tokens(),
        [source, other],
        recipe=given,
        out=tmp_path / "m.npy",
        work=pe.Work(executor=pool),
    )

    assert_same(built, expected)


@pytest.mark.parametrize("out", [None, "m.npy"])
def test_a_task_carries_what_it_needs(
    out: str | None, source: Path, tmp_path: Path
) -> None:
    expected = pe.build_matrix(tokens(), source)
    executor = Inline()

    built = pe.build_matrix(
        tokens(), source, out=out and tmp_path / out, work=pe.Work(executor=executor)
    )

    assert_same(built, expected)
    assert len(executor.sizes) > 20
    assert max(executor.sizes) < 3000  # the tokens take 20,000


def test_a_function_that_cannot_be_sent_is_called_here(
    source: Path, pool: Executor, tmp_path: Path
) -> None:
    def match(token: str) -> str:
        return token.lower()

    expected = pe.build_matrix(tokens(), source, match=match)

    built = pe.build_matrix(
        tokens(),
        source,
        match=match,
        out=tmp_path / "m.npy",
        work=pe.Work(executor=pool),
    )

    assert built.vectors.tobytes() == expected.vectors.tobytes()
    (note,) = built.findings.notes
    assert note.startswith("rows were made by one process")


def test_a_function_of_a_module_is_called_by_workers(
    source: Path, tmp_path: Path
) -> None:
    expected = pe.build_matrix(tokens(), source, match=["exact", reverse])

    built = pe.build_matrix(
        tokens(),
        source,
        match=["exact", reverse],
        out=tmp_path / "m.npy",
        work=pe.Work(executor=Inline()),
    )

    assert_same(built, expected)


# What workers have to see


def test_another_file_of_the_same_size_is_told_before_any_work(
    source: Path, tmp_path: Path
) -> None:
    status = source.stat()

    def swap() -> None:
        source.write_text(source.read_text().replace("w17 ", "w71 "))
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))

    executor = Inline(swap)
    with pytest.raises(pe.errors.SourceError, match="not the bytes that this build"):
        pe.build_matrix(
            tokens(), source, out=tmp_path / "m.npy", work=pe.Work(executor=executor)
        )

    assert source.stat().st_size == status.st_size
    assert not list(tmp_path.rglob("*.extract"))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_folder_that_a_worker_does_not_see_is_told_before_any_work(
    source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "m.npy.work"

    def hide() -> Any:
        folder.rename(tmp_path / "hidden")
        return lambda: (tmp_path / "hidden").rename(folder)

    with pytest.raises(pe.errors.SourceError, match="does not see the folder"):
        pe.build_matrix(
            tokens(),
            source,
            out=tmp_path / "m.npy",
            work=pe.Work(executor=Inline(hide)),
        )

    assert not list(tmp_path.rglob("*.extract"))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


# What goes wrong


def test_a_range_that_fails_is_made_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[int] = []
    make = ranges.make

    def again(plan: Any, number: int, readers: Any, **more: Any) -> Any:
        if number == 2 and len(failed) < 2:
            failed.append(number)
            raise OSError("the disk was busy")
        return make(plan, number, readers, **more)

    monkeypatch.setattr(ranges, "make", again)
    expected = pe.build_matrix(tokens(), source)

    built = pe.build_matrix(
        tokens(), source, out=tmp_path / "m.npy", work=pe.Work(executor=Inline())
    )

    assert failed == [2, 2]
    assert_same(built, expected)


@pytest.mark.parametrize("out", OUTPUTS)
def test_a_disk_that_is_full_is_one_error_and_the_next_build_goes_on(
    out: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: Any = tmp_path / out if "." in out else pe.Shards(tmp_path / out, 2)
    write = sinks.write_array
    written: list[int] = []

    def full(file: Any, array: Any) -> None:
        written.append(len(array))
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, array)

    with monkeypatch.context() as patch:
        patch.setattr(sinks, "write_array", full)
        with pytest.raises(pe.errors.WriteError, match="No space left"):
            pe.build_matrix(
                tokens(), source, out=given, work=pe.Work(executor=Inline())
            )
    assert not [name for name in held(tmp_path / out) if "work" not in name]
    finished = len(list(tmp_path.glob("*.work/rows-*/range-*")))
    assert finished == len(written) - 1 > 2
    after: list[int] = []
    monkeypatch.setattr(
        sinks, "write_array", lambda f, a: (after.append(len(a)), write(f, a))
    )

    built = pe.build_matrix(
        tokens(), source, out=given, work=pe.Work(executor=Inline())
    )

    assert after == [written[2]]
    assert_same(built, pe.build_matrix(tokens(), source))
    assert not list(tmp_path.glob("*.work"))


def test_an_interrupt_leaves_what_is_finished_for_the_next_build(
    source: Path, pool: Executor, tmp_path: Path
) -> None:
    def stop(done: int, total: int | None) -> None:
        if done > source.stat().st_size + 4 * DIM * 2000:
            raise KeyboardInterrupt

    work = pe.Work(executor=pool)
    with pytest.raises(KeyboardInterrupt):
        pe.build_matrix(
            tokens(), source, out=tmp_path / "m.h5", work=work, progress=stop
        )
    assert not (tmp_path / "m.h5").exists()
    assert len(list(tmp_path.glob("m.h5.work/rows-*/range-*"))) > 2

    built = pe.build_matrix(tokens(), source, out=tmp_path / "m.h5", work=work)

    assert_same(built, pe.build_matrix(tokens(), source))


@pytest.mark.parametrize("change", ["source", "vocabulary", "recipe"])
def test_rows_of_another_job_are_not_used(
    change: str, source: Path, pool: Executor, tmp_path: Path
) -> None:
    words, seed = tokens(), 0

    def stop(done: int, total: int | None) -> None:
        if done > source.stat().st_size + 4 * DIM * 2000:
            raise KeyboardInterrupt

    out = tmp_path / "m.npy"
    with pytest.raises(KeyboardInterrupt):
        pe.build_matrix(words, source, out=out, progress=stop)
    if change == "source":
        source.write_text(source.read_text().replace("1", "2", 1))
    elif change == "vocabulary":
        words = [*words[1:], words[0]]
    else:
        seed = 3

    built = pe.build_matrix(
        words, source, seed=seed, out=out, work=pe.Work(executor=pool)
    )

    assert_same(built, pe.build_matrix(words, source, seed=seed))


def test_a_bad_row_that_a_worker_meets_is_named(
    source: Path, pool: Executor, tmp_path: Path
) -> None:
    lines = source.read_text().splitlines()
    for row in (2500, 5000):
        lines[row] = "bad 1 2"
    source.write_text("\n".join(lines) + "\n")

    with pytest.raises(pe.errors.RowError) as raised:
        pe.build_matrix(
            tokens(), source, out=tmp_path / "m.npy", work=pe.Work(executor=pool)
        )

    assert raised.value.line == 2501
    assert not (tmp_path / "m.npy").exists()


def test_progress_is_that_of_all_workers(
    source: Path, pool: Executor, tmp_path: Path
) -> None:
    seen: list[tuple[int, int | None]] = []
    shares: list[Any] = []

    built = pe.build_matrix(
        tokens(),
        source,
        out=tmp_path / "m.npy",
        work=pe.Work(executor=pool, report=shares.extend),
        progress=lambda done, total: seen.append((done, total)),
    )

    size = source.stat().st_size
    total = size + built.vectors.nbytes
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)
    assert len({share.worker for share in shares}) == len(shares) in (2, 3)
    assert np.all([share.cpu_seconds > 0 for share in shares])
    assert shares[0].bytes_written == 0  # of this process, which hands on nothing
    waited = 4 * DIM * len(np.unique(built.source_rows)) - 1
    assert sum(share.bytes_read for share in shares) >= size + waited
    assert sum(share.bytes_written for share in shares) > built.vectors.nbytes


def test_what_is_open_is_kept_for_one_job_and_one_process(monkeypatch):
    opens = iter("abcd")

    def held(key):
        return workers.opened("a test", key, lambda: next(opens))

    assert [held("job"), held("job"), held("next job"), held("job")] == list("aabc")
    monkeypatch.setattr("os.getpid", lambda: -1)  # as in a fork
    assert [held("job"), held("job")] == list("dd")
    workers.close("a test")
