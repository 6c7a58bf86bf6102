"""What is built by parts, or by others, is what is built at once."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouped import grouped

import pretrained_embed as pe
from pretrained_embed.build import ranges, scan
from pretrained_embed.build.extract import Extract, Outcome
from tests.large import DIM, assert_same, make_parts_small, tokens, write_source


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    make_parts_small(monkeypatch)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "vectors.txt")


def processes(count: int) -> ProcessPoolExecutor:
    """Return an executor of new processes; this one may have threads of others."""
    return ProcessPoolExecutor(count, get_context("spawn"))


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "forms": {"match": "exact,lower,upper"},
    "only-lower": {"match": "lower", "advise": True},
    "uniform": {"oov": "uniform", "seed": 3},
    "parts": {"oov": "parts,mean", "match": "exact,lower"},
    "post": {"postprocess": "center,pca:4,unit-norm", "match": "exact,lower"},
    "compound": {"match": "exact,compound"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".h5", ".npz"])
def test_an_output_holds_what_is_built_in_memory(
    options: dict[str, Any], suffix: str, source: Path, tmp_path: Path
) -> None:
    words = [*tokens(), "w1-w2", "w3-w9999", "w4-W5"]
    expected = pe.build_matrix(words, source, **grouped(**options))

    built = pe.build_matrix(
        words, source, **grouped(out=tmp_path / f"m{suffix}", **options)
    )

    assert_same(built, expected)
    assert_same(pe.load_matrix(tmp_path / f"m{suffix}"), expected)
    assert not (tmp_path / f"m{suffix}.work").exists()


@pytest.mark.parametrize("combine", ["fill", "concat", "average"])
def test_several_sources_of_every_kind_go_into_one_output(
    combine: Any, source: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "more.txt.gz"
    packed.write_bytes(
        gzip.compress(write_source(tmp_path / "more", 6400).read_bytes())
    )
    binary, table = tmp_path / "some.bin", tmp_path / "some.npz"
    pe.convert(source, binary, vocab=[f"w{n}" for n in range(900)])
    pe.convert(source, table, vocab=[f"w{n}" for n in range(300)])
    sources = [source, packed, binary, table]
    options: dict[str, Any] = {"combine": combine, "match": "exact,lower"}
    expected = pe.build_matrix(tokens(), sources, **grouped(**options))

    built = pe.build_matrix(
        tokens(), sources, **grouped(out=tmp_path / "m.npy", **options)
    )

    assert_same(built, expected)
    assert_same(pe.load_matrix(tmp_path / "m.npy"), expected)


def test_counts_holes_and_special_tokens_keep_their_rows(
    source: Path, tmp_path: Path
) -> None:
    ids = {f"w{number}": 3 * number for number in range(900)}
    vocab = pe.Vocabulary(
        ids | {"[MASK]": 1}, pad=None, special_tokens={"mask": "[MASK]"}
    )
    options: dict[str, Any] = {"special_oov": {"mask": "zeros"}, "oov": "mean"}
    expected = pe.build_matrix(vocab, source, **grouped(**options))

    built = pe.build_matrix(vocab, source, **grouped(out=tmp_path / "m.npy", **options))

    assert_same(built, expected)


def test_a_range_is_marked_as_the_whole_vocabulary_is(
    source: Path, tmp_path: Path
) -> None:
    words = [f"##w{n}" for n in range(2000)] + [f"▁w{n}" for n in range(900)]
    expected = pe.build_matrix(
        words, source, match="unmarked", work=pe.Work(advise=True)
    )

    built = pe.build_matrix(
        words,
        source,
        match="unmarked",
        out=tmp_path / "m.npy",
        work=pe.Work(advise=True),
    )

    assert expected.coverage.found > 1500
    assert_same(built, expected)


def test_shards_hold_what_is_built_in_memory(source: Path, tmp_path: Path) -> None:
    expected = pe.build_matrix(tokens(), source, match="exact,lower")

    built = pe.build_matrix(
        tokens(), source, match="exact,lower", out=pe.Shards(tmp_path / "model", 3)
    )

    assert_same(built, expected)
    assert_same(pe.load_matrix(tmp_path / "model"), expected)
    halves = [pe.load_shard(tmp_path / "model", rank, 2) for rank in range(2)]
    joined = np.concatenate([half.vectors for half in halves])
    assert joined.tobytes() == expected.vectors.tobytes()


def test_little_memory_takes_several_passes_and_changes_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = counted_scans(monkeypatch)
    expected = pe.build_matrix(tokens(), source)

    pe.build_matrix(tokens(), source, out=tmp_path / "one.npy")
    once = len(scans)
    built = pe.build_matrix(
        tokens(), source, out=tmp_path / "several.npy", work=pe.Work(memory=48 * 1500)
    )

    assert len(scans) - once == 3 * once
    assert_same(built, expected)


FORMS: dict[str, Any] = {"match": "exact,lower", "advise": True}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"advise": True}, ["vectors.txt"]),
        (FORMS, ["vectors.txt"]),
        (FORMS | {"memory": 1}, ["vectors.txt"]),
        (FORMS, ["few.txt", "vectors.txt"]),
        (FORMS | {"combine": "concat"}, ["few.txt", "vectors.txt"]),
    ],
)
def test_a_duplicate_counts_once_whatever_ranges_look_for_it(
    options: dict[str, Any], names: list[str], source: Path, tmp_path: Path
) -> None:
    rows = "".join(f"w{n} {' '.join('1' * DIM)}\n" for n in range(3001, 3600))
    source.write_text(source.read_text() + rows)
    (tmp_path / "few.txt").write_text(rows[:4000].rpartition("\n")[0] + "\n")
    words = [f"W{n}" for n in range(3000, 3400)] + [f"w{n}" for n in range(2900, 3300)]
    words += [f"q{n}" for n in range(1500)] + [f"W{n}" for n in range(3400, 3500)]
    words += [f"w{n}" for n in range(3399, 3499)]
    sources = [tmp_path / name for name in names]
    together = {name: options[name] for name in options if name != "memory"}
    expected = pe.build_matrix(words, sources, **grouped(**together))

    built = pe.build_matrix(
        words, sources, **grouped(out=tmp_path / "m.npy", **options)
    )

    assert expected.findings.duplicates > 200
    assert_same(built, expected)


@pytest.mark.parametrize("suffix", [".bin", ".txt.gz"])
def test_progress_of_a_source_that_cannot_be_cut_rises_to_its_end(
    suffix: str, source: Path, tmp_path: Path
) -> None:
    given = tmp_path / f"given{suffix}"
    if suffix == ".bin":
        pe.convert(source, given)
    else:
        given.write_bytes(gzip.compress(source.read_bytes()))
    seen: list[tuple[int, int | None]] = []

    pe.build_matrix(
        tokens(),
        given,
        out=tmp_path / "m.npy",
        progress=lambda done, total: seen.append((done, total)),
    )

    done = [one for one, _ in seen]
    assert done == sorted(done)
    if suffix == ".bin":
        total = given.stat().st_size + 4 * DIM * (len(tokens()) + 1)
        assert seen[-1] == (total, total)


@pytest.mark.parametrize("memory", ["4GB", "512 MiB", "1000000000", 10**9])
def test_memory_may_be_given_in_words(memory: str | int, source: Path) -> None:
    expected = pe.build_matrix(tokens(), source)

    assert_same(
        pe.build_matrix(tokens(), source, work=pe.Work(memory=memory)), expected
    )


def test_memory_is_kept_to_without_an_output_too(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = counted_scans(monkeypatch)
    expected = pe.build_matrix(tokens(), source)

    built = pe.build_matrix(tokens(), source, work=pe.Work(memory=48 * 1500))

    assert scans.count(0) == 3
    assert_same(built, expected)


def test_workers_elsewhere_find_the_folder_of_a_relative_output(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pe.build_matrix(tokens(), source)

    with processes(1) as executor:
        executor.submit(os.chdir, "/").result()
        monkeypatch.chdir(tmp_path)
        built = pe.build_matrix(
            tokens(), source, out="m.npy", work=pe.Work(executor=executor)
        )

    assert_same(built, expected)


def test_an_executor_that_was_shut_down_costs_nothing_but_time(source: Path) -> None:
    expected = pe.build_matrix(tokens(), source)
    executor = ThreadPoolExecutor(1)
    executor.shutdown()

    assert_same(
        pe.build_matrix(tokens(), source, work=pe.Work(executor=executor)), expected
    )


def test_two_builds_of_one_output_take_turns(source: Path, tmp_path: Path) -> None:
    expected = pe.build_matrix(tokens(), source)

    with ThreadPoolExecutor(4) as several:
        built = [
            several.submit(
                pe.build_matrix,
                tokens(),
                source,
                out=tmp_path / "m.npy",
                work=pe.Work(threads=1),
            )
            for _ in range(4)
        ]

    for one in built:
        assert_same(one.result(), expected)
    assert not list(tmp_path.glob("m.npy.work*"))


@pytest.mark.parametrize("out", [None, "m.npy"])
@pytest.mark.parametrize("make", [ThreadPoolExecutor, processes])
def test_any_executor_gives_the_same_matrix(
    make: Callable[[int], Executor], out: str | None, source: Path, tmp_path: Path
) -> None:
    expected = pe.build_matrix(tokens(), source, match="exact,lower")

    with make(3) as executor:
        built = pe.build_matrix(
            tokens(),
            source,
            match="exact,lower",
            out=out and tmp_path / out,
            work=pe.Work(executor=executor),
        )

    assert_same(built, expected)


def test_what_no_other_process_can_open_is_read_here(source: Path) -> None:
    expected = pe.build_matrix(tokens(), source)

    with processes(1) as executor, source.open("rb") as file:
        built = pe.build_matrix(tokens(), file, work=pe.Work(executor=executor))

    assert built.vectors.tobytes() == expected.vectors.tobytes()
    assert built.findings.notes == ["was read by one process: no other can open it"]


@pytest.mark.parametrize("kind", [".npz", ".h5", "store"])
def test_workers_look_up_in_a_source_with_an_index(
    kind: str, source: Path, tmp_path: Path
) -> None:
    library = pe.Library(tmp_path / "cache")
    indexed = source
    if kind == "store":
        library.index(source)
    else:
        indexed = tmp_path / f"vectors{kind}"
        pe.convert(source, indexed)
    expected = pe.build_matrix(tokens(), indexed, library=library)
    shares: list[Any] = []

    with processes(1) as executor:
        built = pe.build_matrix(
            tokens(),
            indexed,
            library=library,
            out=tmp_path / "m.h5",
            work=pe.Work(executor=executor, report=shares.extend),
        )

    assert_same(built, expected)
    here = [share.worker.endswith(f":{os.getpid()}") for share in shares]
    assert here == [True, False]
    assert [share.bytes_written for share in shares] == [0, built.vectors.nbytes]


def test_a_worker_that_is_killed_costs_nothing_but_time(source: Path) -> None:
    expected = pe.build_matrix(tokens(), source)

    with processes(2) as executor:
        executor.submit(int).result()

        def kill(done: int, _: int | None) -> None:
            for pid in list(executor._processes or ()):
                with suppress(ProcessLookupError):  # killed before
                    os.kill(pid, 9)

        built = pe.build_matrix(
            tokens(), source, work=pe.Work(executor=executor), progress=kill
        )

    assert_same(built, expected)


def test_a_split_that_fails_is_scanned_again(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[int] = []

    scan_split = scan.scan_split

    def again(given: scan.Job, number: int, *rest: Any) -> Outcome:
        if number == 2 and len(failed) < 2:
            failed.append(number)
            raise OSError("the disk was busy")
        return scan_split(given, number, *rest)

    monkeypatch.setattr(scan, "scan_split", again)
    expected = pe.build_matrix(tokens(), source)

    with ThreadPoolExecutor(2) as executor:
        built = pe.build_matrix(tokens(), source, work=pe.Work(executor=executor))

    assert failed == [2, 2]
    assert_same(built, expected)


def test_a_split_that_fails_always_is_named(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: Any) -> Outcome:
        raise MemoryError("too little")

    monkeypatch.setattr(scan, "scan_split", again)

    with (
        ThreadPoolExecutor(2) as executor,
        pytest.raises(
            pe.errors.WorkerError, match=r"bytes .*failed 3 times.*too little"
        ),
    ):
        pe.build_matrix(tokens(), source, work=pe.Work(executor=executor))


def test_the_first_bad_row_is_the_one_that_is_named(
    source: Path, tmp_path: Path
) -> None:
    lines = source.read_text().splitlines()
    for row in (2500, 5000, 5999):
        lines[row] = "bad 1 2"
    source.write_text("\n".join(lines) + "\n")

    with ThreadPoolExecutor(3) as executor, pytest.raises(pe.errors.RowError) as raised:
        pe.build_matrix(tokens(), source, work=pe.Work(executor=executor))

    assert raised.value.line == 2501
    expected = pe.build_matrix(tokens(), source, limits=pe.Limits(bad_rows=1.0))
    built = pe.build_matrix(
        tokens(), source, limits=pe.Limits(bad_rows=1.0), out=tmp_path / "m.npy"
    )
    assert_same(built, expected)
    assert [doubt.line for doubt in built.findings.doubts] == [2501, 5001, 6000]


@pytest.mark.parametrize(("out", "shards"), [("m.npy", None), ("model", 2)])
def test_an_output_that_cannot_be_is_refused_before_anything_is_read(
    out: str,
    shards: int | None,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / out).mkdir()
    (tmp_path / out / "of-another").touch()
    scans = counted_scans(monkeypatch)

    with pytest.raises(pe.errors.WriteError, match="cannot write"):
        pe.build_matrix(tokens(), source, **grouped(out=tmp_path / out, files=shards))

    assert not scans


def test_too_little_coverage_writes_nothing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(pe.errors.CoverageError, match="90"):
        pe.build_matrix(
            tokens(), source, limits=pe.Limits(coverage=0.9), out=tmp_path / "m.npy"
        )

    assert not list(tmp_path.glob("*m*.npy*[!k]"))


def test_too_little_coverage_is_told_before_a_vector_is_read_back(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    monkeypatch.setattr(Extract, "vectors", lambda *given: read.append(given))

    with pytest.raises(pe.errors.CoverageError, match="90"):
        pe.build_matrix(
            tokens(), source, limits=pe.Limits(coverage=0.9), out=tmp_path / "m.npy"
        )

    assert not read


@pytest.mark.parametrize(("memory", "passes"), [(None, 1), (48 * 1500, 3)])
def test_progress_rises_to_the_end_of_the_whole_job(
    memory: int | None, passes: int, source: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, int | None]] = []

    pe.build_matrix(
        tokens(),
        source,
        out=tmp_path / "m.npy",
        work=pe.Work(memory=memory),
        progress=lambda done, total: seen.append((done, total)),
    )

    done = [one for one, _ in seen]
    total = passes * source.stat().st_size + 4 * DIM * (len(tokens()) + 1)
    assert {total for _, total in seen} == {total}
    assert done == sorted(done)
    assert done[-1] == total
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": 0}, "memory is 0"),
        ({"memory": "much"}, "memory is 'much'.* such as 500MB or 4G"),
        ({"memory": "0 GB"}, "memory is 0"),
        ({"memory": True}, "memory is True"),
        ({"out": "m.txt"}, r"end in .*\.npy"),
        ({"files": 0, "out": "model"}, "files is 0"),
        ({"files": 5000, "out": "model"}, r"1 to 4,001"),
        ({"files": 2, "out": "."}, "name a file or a folder"),
    ],
)
def test_what_does_not_go_together_is_refused(
    options: dict[str, Any], message: str, source: Path
) -> None:
    with pytest.raises(pe.errors.OptionError, match=message):
        pe.build_matrix(tokens(), source, **grouped(**options))


def test_rows_are_added_to_a_matrix_in_an_output(source: Path, tmp_path: Path) -> None:
    old = pe.build_matrix(tokens()[:50], source)
    expected = pe.build_matrix(tokens()[:80], source, onto=old)

    for out in ("m.npy", "m.h5"):
        pe.build_matrix(tokens()[:80], source, onto=old, out=tmp_path / out)
        assert_same(pe.load_matrix(tmp_path / out), expected)


# Resuming: what a killed build has finished is used, if it is right.


def counted_scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    numbers: list[int] = []
    scan_split = scan.scan_split

    def counted(given: scan.Job, number: int, *rest: Any, **more: Any) -> Outcome:
        numbers.append(number)
        return scan_split(given, number, *rest, **more)

    monkeypatch.setattr(scan, "scan_split", counted)
    return numbers


KILLED = """
import os, sys
from tests import large as made
import pytest, pretrained_embed as pe
patch = pytest.MonkeyPatch()
made.make_parts_small(patch)
seen = []
def kill(done, total):
    seen.append(done)
    if len(seen) == int(sys.argv[3]):
        os.kill(os.getpid(), 9)
work = pe.Work(1)
pe.build_matrix(made.tokens(), sys.argv[1], out=sys.argv[2], work=work, progress=kill)
"""


def killed_build(source: Path, out: Path, calls: int = 9) -> None:
    """Build in a process that is killed after so many splits or ranges."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, source, out, str(calls)],
        env=environment,
        check=False,
    )
    assert ended.returncode == -9
    assert not out.exists()


def test_a_killed_build_goes_on_from_its_finished_splits(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "m.npy"
    expected = pe.build_matrix(tokens(), source)
    scans = counted_scans(monkeypatch)
    killed_build(source, out)

    built = pe.build_matrix(tokens(), source, out=out)

    assert_same(built, expected)
    assert scans
    assert min(scans) >= 9
    assert not out.with_name("m.npy.work").exists()


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_what_a_killed_build_has_half_written_goes_with_the_next(
    suffix: str, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"m{suffix}"
    killed_build(source, out, calls=32)  # in the middle of the rows
    assert list(tmp_path.glob("m*.work/rows-*/range-*"))

    built = pe.build_matrix(tokens(), source, out=out)

    assert_same(built, pe.build_matrix(tokens(), source))
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        ["m.h5", "vectors.txt"],
        ["m.npy", "m.rows.safetensors", "vectors.txt"],
    )


def test_what_was_damaged_is_done_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "m.npy"
    expected = pe.build_matrix(tokens(), source)
    killed_build(source, out)
    (folder,) = out.with_name("m.npy.work").glob("source-*")
    extract = next(folder.glob("split-000001-*.extract"))
    extract.write_bytes(extract.read_bytes()[:-1] + b"x")
    next(folder.glob("split-000002-*.extract")).unlink()
    record = folder / "split-000003.json"
    record.write_bytes(record.read_bytes()[:-9])
    record = folder / "split-000004.json"
    record.write_bytes(record.read_bytes().replace(b'"rows": ', b'"rows": 1'))
    scans = counted_scans(monkeypatch)

    built = pe.build_matrix(tokens(), source, out=out)

    assert_same(built, expected)
    assert {0, 1, 2, 3, 4} & set(scans) == {1, 2, 3, 4}


@pytest.mark.parametrize("damage", ["wanted", "lock"])
def test_what_a_killed_build_has_left_of_its_own_is_made_anew(
    damage: str, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.npy"
    killed_build(source, out)
    (damaged,) = out.with_name("m.npy.work").rglob(damage)
    damaged.write_bytes(b"x")

    built = pe.build_matrix(tokens(), source, out=out)

    assert_same(built, pe.build_matrix(tokens(), source))


@pytest.mark.parametrize("change", ["source", "tokens", "release"])
def test_nothing_is_taken_from_another_build(
    change: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "m.npy"
    killed_build(source, out)
    scans = counted_scans(monkeypatch)
    words = tokens()
    if change == "source":
        source.write_text(source.read_text().replace("1", "2", 1))
    elif change == "tokens":
        words.append("w5999")
    else:  # one whose work folder means something else
        monkeypatch.setattr(scan, "VERSION", scan.VERSION + 1)

    built = pe.build_matrix(words, source, out=out)

    assert 0 in scans
    assert_same(built, pe.build_matrix(words, source))


@pytest.mark.parametrize("change", ["oov", "counts", "advise", "match"])
def test_shards_of_another_build_are_not_kept(
    change: str, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"

    def options(number: int) -> dict[str, Any]:
        made: dict[str, Any] = {
            "oov": {"oov": lambda t, s, d: np.full((len(t), d), number, np.float32)},
            "advise": {"advise": bool(number)},
            "match": {"match": ["exact", lambda t: t.lower() if number else None]},
        }
        return made.get(change, {})

    def vocabulary(number: int) -> pe.Vocabulary:
        counts = dict.fromkeys(tokens(), number + 1) if change == "counts" else None
        return pe.Vocabulary(tokens(), counts=counts)

    def stop(done: int, total: int | None) -> None:
        if done > source.stat().st_size + 4 * DIM * 3000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pe.build_matrix(
            vocabulary(0),
            source,
            progress=stop,
            **grouped(out=out, files=3, **options(0)),
        )

    built = pe.build_matrix(
        vocabulary(1), source, **grouped(out=out, files=3, **options(1))
    )

    expected = pe.build_matrix(vocabulary(1), source, **grouped(**options(1)))
    assert_same(built, expected)
    assert_same(pe.load_matrix(out), expected)


@pytest.mark.parametrize("out", ["m.npy", "m.npz", "m.h5", "m.safetensors", "model"])
def test_finished_ranges_of_a_build_are_kept(
    out: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: Any = tmp_path / out if "." in out else pe.Shards(tmp_path / out, 3)
    expected = pe.build_matrix(tokens(), source)

    def stop(done: int, total: int | None) -> None:
        if done > source.stat().st_size + 4 * DIM * 3000:  # in the last third
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pe.build_matrix(tokens(), source, out=given, progress=stop)
    (folder,) = tmp_path.glob("*.work/rows-*")
    there = len(list(folder.glob("range-*")))
    assert there > 1
    record = sorted(folder.glob("range-*"))[0]
    record.write_bytes(record.read_bytes()[:-1] + b"x")  # one is made again
    file = sorted((folder / "files").glob("m*.*"))[-1]
    with file.open("r+b") as grown:  # and one in the file itself
        grown.seek((1 << 16) + 4 * DIM * (900 if "." in out else 10))
        grown.write(b"other")
    scans = counted_scans(monkeypatch)
    made: list[int] = []
    make = ranges.make

    def counted(plan: Any, number: int, readers: Any) -> Any:
        made.append(number)
        return make(plan, number, readers)

    monkeypatch.setattr(ranges, "make", counted)

    built = pe.build_matrix(tokens(), source, out=given)

    assert not scans
    whole = -(-(len(tokens()) + 1) // 700) if "." in out else 6
    assert len(made) == whole - there + 2
    assert_same(built, expected)
    assert_same(pe.load_matrix(tmp_path / out), expected)
    assert not list(tmp_path.glob("*.work"))


def in_parts(source: Path, parts: int = 5) -> Path:
    """Cut a file into a folder of parts, and return the folder."""
    folder = source.with_name("parts")
    folder.mkdir()
    lines = source.read_text().splitlines(keepends=True)
    step = -(-len(lines) // parts)
    for number in range(parts):
        part = folder / f"part-{number + 8}.txt"
        part.write_text("".join(lines[number * step :][:step]))
    return folder


def test_a_killed_build_of_parts_goes_on_from_its_finished_splits(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, folder = tmp_path / "m.npy", in_parts(source)
    expected = pe.build_matrix(tokens(), source)
    scans = counted_scans(monkeypatch)
    killed_build(folder, out)

    built = pe.build_matrix(tokens(), folder, out=out)

    assert built.vectors.tobytes() == expected.vectors.tobytes()
    assert built.source_rows.tolist() == expected.source_rows.tolist()
    assert built.findings.duplicates == expected.findings.duplicates
    assert scans
    assert min(scans) >= 9


def test_what_a_killed_build_has_of_other_parts_is_not_taken(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, folder = tmp_path / "m.npy", in_parts(source)
    killed_build(folder, out)
    part = folder / "part-9.txt"
    times = part.stat()
    part.write_bytes(part.read_bytes().replace(b" 0.", b" 3."))  # of the same size
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))

    built = pe.build_matrix(tokens(), folder, out=out)

    expected = pe.build_matrix(tokens(), folder)
    assert built.vectors.tobytes() == expected.vectors.tobytes()
