"""Hits that a scan puts straight into their places give the bytes of one process."""

from __future__ import annotations

import fcntl
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouped import grouped
from hypothesis import given, settings
from hypothesis import strategies as st

import pretrained_embed as pe
from pretrained_embed.build import placed, scan, work, workers
from pretrained_embed.build.placed import InPlace, Placed, PlacedRows, Places
from pretrained_embed.build.sinks import Target
from pretrained_embed.errors import RowError, SourceError
from pretrained_embed.files.safe_path import SafePath
from tests.large import DIM, assert_same, make_parts_small, tokens, write_source

#: Rows of the source, in which cut to 16 KiB each split has about 200.
ROWS = 3_400


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_parts_small(monkeypatch)
    monkeypatch.setattr(work, "fits_memory", lambda size: True)
    folder = tmp_path / "source"
    folder.mkdir()
    return write_source(folder / "vectors.txt", ROWS)


class Inline(Executor):
    """Does each task at once, from its pickle; ``before`` is called with each."""

    def __init__(self, before: Callable[[Any, Any], object] | None = None) -> None:
        self.done: list[str] = []
        self._before = before

    def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
        self.done.append(fn.__name__)
        if self._before is not None:
            self._before(fn, args)
        future: Future[Any] = Future()
        try:
            function, given = pickle.loads(pickle.dumps((fn, args)))  # noqa: S301  (ours)
            future.set_result(function(*given))
        except Exception as error:  # noqa: BLE001  (it is the result)
            future.set_exception(error)
        return future


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        yield executor


@pytest.fixture
def torn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tell how many rows each pass has to look for once more."""
    counts: list[int] = []
    joined = scan.Scan._joined

    def counted(*given: Any) -> PlacedRows:
        rows = joined(*given)
        counts.append(len(rows.torn))
        return rows

    monkeypatch.setattr(scan.Scan, "_joined", counted)
    return counts


@pytest.mark.parametrize(
    ("suffix", "recipe"),
    [
        (".npy", {}),
        (".npz", {"match": "exact,lower", "advise": True}),
        (".h5", {"match": "exact,lower", "oov": "parts,normal", "seed": 3}),
        (".safetensors", {"match": "exact,lower", "oov": "normal"}),
    ],
)
def test_whoever_scans_the_bytes_are_those_of_one_process(
    suffix: str,
    recipe: dict[str, Any],
    source: Path,
    pool: Executor,
    torn: list[int],
    tmp_path: Path,
) -> None:
    words = pe.Vocabulary(["<pad>", "<unk>", *tokens()], pad="<pad>", unk="<unk>")
    expected = pe.build_matrix(words, source, **grouped(**recipe))
    expected.save(tmp_path / f"whole{suffix}")

    with ThreadPoolExecutor(2) as threads:
        for way in ({"memory": "1GB"}, {"executor": pool}, {"executor": threads}):
            out = tmp_path / f"m{suffix}"
            out.unlink(missing_ok=True)
            built = pe.build_matrix(words, source, **grouped(out=out, **way, **recipe))
            assert_same(built, expected)
            assert built.ledger == expected.ledger
            assert_same(pe.load_matrix(out), expected)
            assert not list(tmp_path.glob("*.work"))

    assert len(torn) == 3
    assert min(torn) > 20


def test_nothing_waits_and_ranges_that_are_whole_are_not_made(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Counter(line.split()[0] for line in source.read_text().splitlines())
    kept: list[int] = []
    keep = scan.Job.keep

    def counted(job: Any, number: int, *given: Any) -> Any:
        kept.append(number)
        return keep(job, number, *given)

    monkeypatch.setattr(scan.Job, "keep", counted)
    executor = Inline()
    given = pe.Vocabulary(["<pad>", *counts], pad="<pad>")
    expected = pe.build_matrix(given, source)

    built = pe.build_matrix(
        given, source, out=tmp_path / "m.npz", work=pe.Work(executor=executor)
    )

    assert_same(built, expected)
    assert_same(pe.load_matrix(tmp_path / "m.npz"), expected)
    assert "finish_elsewhere" in executor.done  # rows that stand twice
    assert kept
    executor.done.clear()
    kept.clear()
    few = pe.Vocabulary([word for word, n in counts.items() if n == 1], pad=None)

    built = pe.build_matrix(
        few, source, out=tmp_path / "few.npz", work=pe.Work(executor=executor)
    )

    assert_same(built, pe.build_matrix(few, source))
    assert set(executor.done) == {"look", "scan_split"}
    assert not kept


words = st.lists(st.sampled_from([*"abcdeABCDE"]), max_size=24)


@settings(max_examples=12, deadline=None)
@given(
    rows=words,
    a_split=st.integers(1, 2),
    match=st.sampled_from(["exact", "exact,lower", "lower"]),
)
def test_the_first_of_duplicates_wins_over_all_splits(
    rows: list[str],
    a_split: int,
    match: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = folder / "v.txt"
    lines = [f"{word}{f' {n}.25' * 200}" for n, word in enumerate(["z", "b", *rows])]
    path.write_text("\n".join(lines) + "\n")
    wanted = ["A", "b", "B", "c", "E", "x", "a"]
    expected = pe.build_matrix(wanted, path, match=match, oov="normal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_SMALLEST", 4096 * a_split)
        patch.setattr("pretrained_embed.formats.text.reader._SMALLEST_SPLIT", 4096)
        patch.setattr("pretrained_embed.build.plan._RANGE", 4 * 200 * 3)
        built = pe.build_matrix(
            wanted,
            path,
            **grouped(
                match=match, oov="normal", out=folder / "m.npy", executor=Inline()
            ),
        )

    assert_same(built, expected)


def test_a_bad_row_is_the_error_of_one_process(source: Path, tmp_path: Path) -> None:
    lines = source.read_text().splitlines()
    lines[2000] = "bad 1 2"
    source.write_text("\n".join(lines) + "\n")
    with pytest.raises(RowError) as one:
        pe.build_matrix(tokens(), source)

    with pytest.raises(RowError) as many:
        pe.build_matrix(
            tokens(), source, out=tmp_path / "m.npy", work=pe.Work(executor=Inline())
        )

    assert str(many.value) == str(one.value)
    assert not (tmp_path / "m.npy").exists()


# Workers elsewhere


@pytest.mark.parametrize("when", ["at first", "later"])
def test_a_worker_of_another_machine_places_nothing(
    when: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, scans = workers.machine(), []

    def move(function: Any, _: Any) -> None:
        scans.append(function is scan.scan_split)
        away = when == "at first" or sum(scans) > 3
        monkeypatch.setattr(workers, "machine", lambda: "another" if away else here)
        monkeypatch.setattr(placed, "machine", workers.machine)

    given: list[Any] = []
    of_ranges = placed.InPlace.load
    monkeypatch.setattr(InPlace, "load", lambda *a: (given.append(a), of_ranges(*a))[1])
    expected = pe.build_matrix(tokens(), source)
    ticks: list[int] = []

    built = pe.build_matrix(
        tokens(),
        source,
        out=tmp_path / "m.npy",
        work=pe.Work(executor=Inline(move)),
        progress=lambda done, _: ticks.append(done),
    )

    assert_same(built, expected)
    assert not given
    assert ticks[-1] == source.stat().st_size + built.vectors.nbytes


def test_a_system_that_does_not_say_which_it_is_places_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretrained_embed.build.loop.machine", lambda: "")
    monkeypatch.setattr(workers, "machine", lambda: "")
    monkeypatch.setattr(placed, "Placing", None)

    built = pe.build_matrix(
        tokens(), source, out=tmp_path / "m.npy", work=pe.Work(executor=Inline())
    )

    assert_same(built, pe.build_matrix(tokens(), source))


# What goes wrong


def test_a_worker_that_comes_late_does_not_place_what_it_lost(
    source: Path, tmp_path: Path
) -> None:
    tasks: list[Any] = []
    opened: list[Any] = []
    errors: list[BaseException | None] = []

    def replay(function: Any, given: Any) -> None:
        if function is scan.scan_split and given[0].places is not None:
            tasks.append(given)
            opened[:] = [*filter(None, [workers._opened.get("scan")]), *opened][:1]
        elif tasks and function.__name__ == "finish_elsewhere":
            late, workers._opened["scan"] = Inline(), opened[0]  # it has all it needs
            for one in tasks[-3:]:  # of the end, which has lost many rows
                errors.append(late.submit(scan.scan_split, *one).exception())

    built = pe.build_matrix(
        tokens(), source, out=tmp_path / "m.npy", work=pe.Work(executor=Inline(replay))
    )

    assert_same(built, pe.build_matrix(tokens(), source))
    assert errors
    assert all(isinstance(error, SourceError) for error in errors)
    assert "has gone on without it" in str(errors[0])


def test_whoever_shuts_the_gate_waits_for_all_who_hold_it(tmp_path: Path) -> None:
    gate = SafePath.at(tmp_path, SourceError, "") / "gate"
    target = Target(str(tmp_path), 3, 2, "float32", "rows")
    places = Places(target, range(3), workers.machine(), gate, b"now")
    places.say(b"now")
    with (tmp_path / "gate").open("a") as other:
        with places.passing(), places.passing(), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    places.say(b"then")

    with pytest.raises(SourceError, match="gate"), places.passing():
        raise AssertionError


@pytest.mark.parametrize("change", ["nothing", "rows", "notes"])
@pytest.mark.parametrize("after", ["scan", "rows"])
def test_a_build_that_was_stopped_goes_on_from_what_is_right(
    after: str, change: str, source: Path, tmp_path: Path, torn: list[int]
) -> None:
    words = pe.Vocabulary(["<pad>", *tokens()], pad="<pad>")
    size = source.stat().st_size
    end = size // 2 if after == "scan" else size + 1

    def stop(done: int, total: int | None) -> None:
        if done > end:
            raise KeyboardInterrupt

    how: Any = {"out": tmp_path / "m.npy", "oov": "normal"}
    first = Inline()
    with pytest.raises(KeyboardInterrupt):
        pe.build_matrix(
            words, source, **how, work=pe.Work(executor=first), progress=stop
        )
    (rows,) = tmp_path.glob("m.npy.work/rows-*/files/m.npy")
    notes = sorted(tmp_path.glob("m.npy.work/source-0-*/*.placed"))
    assert len(notes) > 2
    if change == "rows":  # all of them, also those that nothing is placed in
        raw = bytearray(rows.read_bytes())
        raw[-len(words) * 4 * DIM :] = bytes(len(words) * 4 * DIM)[::-1].replace(
            b"\0", b"\7"
        )
        rows.write_bytes(raw)
    elif change == "notes":
        raw = bytearray(notes[1].read_bytes())
        raw[0] ^= 1
        notes[1].write_bytes(raw)
    second = Inline()

    built = pe.build_matrix(words, source, **how, work=pe.Work(executor=second))

    assert_same(built, pe.build_matrix(words, source, oov="normal"))
    done = first.done.count("scan_split"), second.done.count("scan_split")
    whole = Inline()
    pe.build_matrix(
        words, source, out=tmp_path / "w.npy", oov="normal", work=pe.Work(None, whole)
    )
    every = whole.done.count("scan_split")
    assert done[0] <= every
    if change == "rows":
        assert done[1] > every // 2
    elif after == "scan":
        assert done[1] < every


def test_what_splits_have_placed_is_put_together_in_their_order(
    tmp_path: Path,
) -> None:
    target = Target(str(tmp_path), 9, 2, "float32", "rows")
    rows = PlacedRows(Places(target, range(2, 9), "", None))

    def some(*numbers: int) -> np.ndarray:
        return np.array(numbers, np.int64)

    rows.add(0, Placed(some(0, 3), some(5, 6), some(3, 3), 0), 10)
    rows.add(1, Placed(some(1, 0), some(0, 1), some(1, 0), 0), 20)
    rows.add(2, Placed(some(6), some(4), some(), 0), 30)

    assert rows.torn.tolist() == [2]
    assert rows.splits_with_torn == [0, 1]
    assert rows.later() == {3: 1, 5: 2}
    here = rows.in_place([range(3), range(3, 9)])
    assert here.of(1).tolist() == [20, -1, 16, -1, -1, 34]
