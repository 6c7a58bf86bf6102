"""What is checked before rows are written, and what is not read or counted twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouped import grouped

import pretrained_embed as pe
from pretrained_embed.build import loop, ranges, scan
from tests.build.test_one_build import in_ranges
from tests.large import assert_same

DIM = 4


def write(path: Path, tokens: list[str]) -> Path:
    drawn = np.random.default_rng(len(tokens)).normal(size=(len(tokens), DIM))
    lines = (
        f"{token} {' '.join(f'{x:.5g}' for x in vector)}\n"
        for token, vector in zip(tokens, drawn.tolist(), strict=True)
    )
    path.write_text("".join(lines))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source.txt", [f"w{n}" for n in range(60)])


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    """Note the calls of a function, and let them through."""
    calls: list[Any] = []
    function = getattr(module, name)

    def call(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return function(*args, **options)

    monkeypatch.setattr(module, name, call)
    return calls


@pytest.mark.parametrize("suffix", [".txt", ".npz"])
@pytest.mark.parametrize(("out", "shards"), [("m.npy", None), ("model", 2)])
@pytest.mark.parametrize("limit", ["coverage", "text_coverage"])
def test_too_little_coverage_is_told_before_a_row_is_made(
    limit: str,
    out: str,
    shards: int | None,
    suffix: str,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = {f"w{n}": 1 for n in range(30)} | {f"q{n}": 1 for n in range(30)}
    vocabulary = pe.Vocabulary(list(words), counts=words)
    if suffix == ".npz":
        pe.convert(source, tmp_path / "table.npz")
        source = tmp_path / "table.npz"
    in_ranges(monkeypatch, 3, len(vocabulary), DIM)
    made = counted(monkeypatch, ranges, "make")
    scans = counted(monkeypatch, scan, "scan_split")

    with pytest.raises(
        pe.errors.CoverageError, match=r"50\.0 %.*60\.0 % are asked for"
    ):
        pe.build_matrix(
            vocabulary,
            source,
            **grouped(out=tmp_path / out, files=shards, **{limit: 0.6}),
        )

    assert not made
    assert len(scans) == (suffix == ".txt")  # there is no second pass
    assert not list(tmp_path.glob("m*.npy")) + list(tmp_path.glob("model/*"))
    pe.build_matrix(
        vocabulary, source, **grouped(out=tmp_path / out, files=shards, **{limit: 0.5})
    )


@pytest.mark.parametrize(("out", "shards"), [("m.npy", None), ("model", 2)])
def test_an_output_in_which_nothing_was_found_never_takes_its_name(
    out: str,
    shards: int | None,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [f"q{n}" for n in range(30)]
    in_ranges(monkeypatch, 3, 31, DIM)

    with pytest.raises(
        pe.errors.CoverageError, match="no token of the vocabulary is in"
    ):
        pe.build_matrix(words, source, **grouped(out=tmp_path / out, files=shards))

    assert not (tmp_path / "m.npy").exists()
    assert not list(tmp_path.glob("model/*.json"))


@pytest.mark.parametrize("oov", ["error", "parts,error"])
@pytest.mark.parametrize("sources", [1, 2])
@pytest.mark.parametrize("combine", ["fill", "concat"])
def test_what_cannot_be_filled_is_counted_over_all_ranges(
    combine: Any,
    sources: int,
    oov: str,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [f"w{n}" for n in range(20)] + [f"q{n}" for n in range(20)]
    words += ["w30q", "[MASK]"]
    vocabulary = pe.Vocabulary(words, special_tokens={"mask": "[MASK]"})
    given = [source, write(tmp_path / "more.txt", ["q3", "q4", "w1"])][:sources]
    options: dict[str, Any] = {"oov": oov, "combine": combine}
    with pytest.raises(pe.errors.OOVError) as together:
        pe.build_matrix(vocabulary, given, **grouped(**options))

    in_ranges(monkeypatch, 9, len(vocabulary), DIM * sources)
    with pytest.raises(pe.errors.OOVError) as apart:
        pe.build_matrix(vocabulary, given, **grouped(out=tmp_path / "m.npy", **options))

    assert str(apart.value) == str(together.value)
    if combine == "fill":
        lost = 22 - 2 * (sources - 1) - ("parts" in oov)
        assert f"{lost} tokens are not in the source" in str(apart.value)
    assert not list(tmp_path.glob("m.npy"))


@pytest.mark.parametrize("ranges", [1, 3])
def test_a_second_source_is_not_read_where_nothing_is_missing(
    ranges: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = tmp_path / "faulty.txt"
    faulty.write_text(write(faulty, ["x1", "x2"]).read_text() + "bad 1\n")
    words = [f"w{n}" for n in range(40)]
    in_ranges(monkeypatch, ranges, len(words) + 1, DIM)
    scans = counted(monkeypatch, scan, "scan_split")
    seen: list[tuple[int, int | None]] = []

    built = pe.build_matrix(
        words,
        [source, faulty],
        out=tmp_path / "m.npy",
        progress=lambda *at: seen.append(at),
    )

    assert len(scans) == (ranges > 1)
    assert built.provenance["sources"][1]["coverage"] == {"tokens": 0, "found": 0}
    if ranges > 1:
        assert seen[-1][0] == seen[-1][1]
    with pytest.raises(pe.errors.RowError):
        pe.build_matrix([*words, "q"], [source, faulty], out=tmp_path / "m.npy")


@pytest.mark.parametrize("kind", ["table", "store", "text"])
@pytest.mark.parametrize("advise", [False, True])
def test_a_duplicate_counts_once_whatever_ranges_look_for_it(
    advise: bool, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = [f"w{n}" for n in range(20)]
    text = write(tmp_path / "twice.txt", [*twice, *twice[5:], *twice[15:], "W1"])
    options: dict[str, Any] = {"match": "exact,lower", "advise": advise}
    options |= {"library": pe.Library(tmp_path / "cache")}
    source: Path = text
    if kind == "table":
        source = tmp_path / "table.npz"
        pe.convert(text, source)
    if kind == "store":
        pe.index(text, library=pe.Library(tmp_path / "cache"))
    words = [*twice, "x", *(f"W{n}" for n in range(20))]
    expected = pe.build_matrix(words, [source, text], **grouped(**options))
    assert expected.findings.duplicates == 20

    in_ranges(monkeypatch, 7, len(words) + 1, DIM)
    built = pe.build_matrix(
        words, [source, text], **grouped(out=tmp_path / "m.npy", **options)
    )

    assert_same(built, expected)
    assert ("store" in built.provenance["sources"][0]) == (kind == "store")


def test_a_compound_that_beats_a_form_that_is_there_has_no_source_row(
    tmp_path: Path,
) -> None:
    source = write(tmp_path / "v.txt", ["ice-cream", "Ice", "Cream", "x"])

    built = pe.build_matrix(["Ice-Cream", "x"], source, match="exact,compound,lower")
    other = pe.build_matrix(["Ice-Cream", "x"], source, match="exact,lower,compound")

    assert [pe.ledger.Origin(code).name for code in built.origin] == [
        "PAD",
        "COMPOUND",
        "EXACT",
    ]
    assert built.source_rows.tolist() == [-1, -1, 3]
    assert other.source_rows.tolist() == [-1, 0, 3]


# Straight into place


@pytest.mark.parametrize("suffix", pe.formats.TARGET_SUFFIXES)
def test_hits_go_into_their_places_and_nothing_waits(
    suffix: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"w{n}" for n in range(70)]
    expected = pe.build_matrix(words, source)

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(scan, "Scan", never)
    made = counted(monkeypatch, loop, "make")
    out = tmp_path / f"m{suffix}"
    built = pe.build_matrix(words, source, out=out)

    assert len(made) == 1
    assert_same(built, expected)
    assert_same(pe.load_matrix(out), expected)
    assert not list(tmp_path.glob("*.work")) + list(tmp_path.glob(".m*"))


@pytest.mark.parametrize("suffix", pe.formats.TARGET_SUFFIXES)
@pytest.mark.parametrize(
    "options",
    [
        {"match": "compound"},
        {"postprocess": "unit-norm"},
        {"combine": "concat"},
        {"normalize_each": True},
    ],
)
def test_rows_that_are_more_than_a_hit_come_into_place_too(
    options: dict[str, Any], suffix: str, source: Path, tmp_path: Path
) -> None:
    words = [f"w{n}-w{n + 1}" for n in range(9)] + ["w5", "zz"]
    expected = pe.build_matrix(words, [source, source], **grouped(**options))

    built = pe.build_matrix(
        words, [source, source], **grouped(out=tmp_path / f"m{suffix}", **options)
    )

    assert_same(built, expected)
    assert_same(pe.load_matrix(tmp_path / f"m{suffix}"), expected)


def test_a_disk_that_takes_no_room_ahead_is_written_to_in_order(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    expected = pe.build_matrix(["w1", "q", "w59"], source)

    built = pe.build_matrix(["w1", "q", "w59"], source, out=tmp_path / "m.npy")

    assert_same(built, expected)


KILLED = """
import os, sys
import pretrained_embed as pe
words = [f"w{n}" for n in range(70)]
def kill(done, total):
    os.kill(os.getpid(), 9)
pe.build_matrix(words, sys.argv[1], out=sys.argv[2], work=pe.Work(1), progress=kill)
"""


@pytest.mark.parametrize("suffix", pe.formats.TARGET_SUFFIXES)
def test_a_build_killed_in_place_starts_anew_and_leaves_nothing_behind(
    suffix: str, source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / f"m{suffix}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", KILLED, source, out]
    ended = subprocess.run(command, env=environment, check=False)
    assert ended.returncode == -9
    assert not out.exists()
    assert not list(folder.rglob("*.extract"))

    words = [f"w{n}" for n in range(70)]
    built = pe.build_matrix(words, source, out=out)

    assert_same(built, pe.build_matrix(words, source))
    names = {path.name for path in folder.iterdir()}
    assert names == {out.name} | ({"m.rows.safetensors"} if suffix == ".npy" else set())


def test_rows_of_an_earlier_matrix_are_not_looked_for(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = pe.build_matrix([f"w{n}" for n in range(30)], source)
    words = [f"w{n}" for n in range(20, 50)]
    expected = pe.build_matrix(words, source, onto=old)
    in_ranges(monkeypatch, 5, len(words) + 1, DIM)
    wanted = counted(monkeypatch, scan, "_wanted")

    built = pe.build_matrix(words, source, onto=old, out=pe.Shards(tmp_path / "m", 2))

    assert_same(built, expected)
    tokens = [
        word for plan, _, ids, _ in wanted for word in plan.vocabulary.strings(ids)
    ]
    assert tokens == [f"w{n}" for n in range(30, 50)]
