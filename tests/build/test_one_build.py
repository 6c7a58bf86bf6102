"""However a build is carried out: the same bytes, and the same ledger."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouped import grouped

import pretrained_embed as pe
from pretrained_embed.build import plan, scan, work
from tests.large import assert_same
from tests.vectors import cut_into_parts

DIM = 4
TOKENS = [f"W{n}" if n % 5 == 0 else f"w{n}" for n in range(7, 62)]
TOKENS += ["w1-w2", "w3-zz", "q1", "w9-w10", "w200"]


def write(path: Path, rows: int, seed: int) -> Path:
    """Write rows of which some tokens stand twice, and one is malformed."""
    drawn = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    lines = [
        f"w{n - 9 if n % 11 == 0 else n} " + " ".join(f"{x:.6g}" for x in vector)
        for n, vector in enumerate(drawn.tolist())
    ]
    lines.insert(rows // 2, "bad 1 2")
    path.write_text("\n".join(lines) + "\n")
    return path


class Case:
    """Files to build from, and a matrix to build onto."""

    def __init__(self, folder: Path) -> None:
        self.faulty = [write(folder / "a.txt", 40, 1), write(folder / "b.txt", 52, 2)]
        self.sound = []
        for path in self.faulty:
            lines = path.read_text().splitlines(keepends=True)
            self.sound.append(path.with_suffix(".sound"))
            self.sound[-1].write_text("".join(x for x in lines if "bad" not in x))
        self.vocabulary = pe.Vocabulary(
            TOKENS, unk="<unk>", counts={t: n for n, t in enumerate(TOKENS)}
        )
        old = pe.Vocabulary(["w8", "W10", "q1", "w40", "other"], unk="<unk>")
        self.old = {
            dim: pe.build_matrix(
                old, self.sound[0], **grouped(match="exact,lower", **options)
            )
            for dim, options in (
                (DIM, {}),
                (2, {"postprocess": "pca:2"}),
            )
        }
        vectors = np.ones((3, 2 * DIM), np.float32)
        vectors[0] = 0
        self.old[2 * DIM] = pe.EmbeddingMatrix(vectors, pe.Vocabulary(["w8", "q1"]))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("case"))


@pytest.fixture(autouse=True)
def small_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_SMALLEST", 1000)
    cut_into_parts(monkeypatch, 1000, read=500)


def in_ranges(patch: pytest.MonkeyPatch, count: int, rows: int, dim: int) -> None:
    """Have a build of so many rows done in so many ranges; one is all at once."""
    patch.setattr(work, "fits_memory", lambda size: count == 1)
    patch.setattr(plan, "_RANGE", 4 * dim * -(-rows // count))


RECIPES = list(
    product(
        [False, True],  # onto
        ["exact,lower", "exact,compound,lower"],
        ["fill", "concat", "average"],
        [0, 1.0],  # bad rows
    )
)


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_every_way_gives_the_same(
    recipe: tuple[bool, str, Any, Any],
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    onto, match, combine, bad_rows = recipe
    options: dict[str, Any] = {"match": match, "combine": combine, "oov": "parts,mean"}
    options |= {"bad_rows": bad_rows}
    dim = 2 * DIM if combine == "concat" else DIM
    if onto:
        options["onto"] = case.old[dim]
    sources = case.faulty if bad_rows else case.sound
    rows = len(case.vocabulary)
    expected = pe.build_matrix(
        case.vocabulary, sources, **grouped(threads=1, **options)
    )

    ways: list[tuple[str | None, int | None, int]] = [(None, None, 1)]
    ways += [("m.npy", None, ranges) for ranges in (1, 3, 17)]
    ways += [("model", min(ranges, 2), ranges) for ranges in (1, 3, 17)]
    for (out, shards, ranges), memory, threads in product(
        ways, [None, 96 * 40], [1, 2]
    ):
        in_ranges(monkeypatch, ranges, rows, dim)
        where = None if out is None else tmp_path / f"{ranges}-{memory}-{threads}-{out}"
        built = pe.build_matrix(
            case.vocabulary,
            sources,
            **grouped(
                out=where, files=shards, memory=memory, threads=threads, **options
            ),
        )
        assert_same(built, expected)
        assert built.ledger == expected.ledger
        if where is not None and threads == 1:
            assert_same(pe.load_matrix(where), expected)
    assert not list(tmp_path.glob("*.work"))


def reverse(token: str) -> str:
    return token[::-1]


#: Values of every option, the usual one first. Those of the second table change the
#: time alone.
RECIPE: dict[str, list[Any]] = {
    "match": [("exact",), "exact,lower", "exact,compound,lower", ["exact", reverse]],
    "oov": ["normal", "zeros", "uniform", "parts,mean", "ngram"],
    "special_oov": [None, {"unk": "mean"}],
    "seed": [0, 7],
    "combine": ["fill", "concat", "average"],
    "scale": [None, (1, 0.5)],
    "normalize_each": [False, True],
    "postprocess": [(), "unit-norm", "center,pca:2"],
    "onto": [False, True],
    "coverage": [0, 0.2],
    "text_coverage": [0, 0.2],
    "advise": [False, True],
    "bad_rows": [0, 1.0, 0.5],
    "layout": [None, f"dim={DIM}"],
}
WORK: dict[str, list[Any]] = {
    "out": [None, "m.npy", "m.npz", "m.h5", "m.safetensors", "model"],
    "ranges": [1, 3, 17],
    "executor": [False, True],
    "memory": [None, 48 * 40],
    "threads": [1, 2],
    "indexed": [False, True],
}


def pairs() -> Iterator[dict[str, Any]]:
    """Yield choices of options such that any two values of two options meet in one."""
    options = RECIPE | WORK
    names, chance = list(options), random.Random(19)
    left = {
        (one, i, other, j)
        for one, other in combinations(names, 2)
        for i in range(len(options[one]))
        for j in range(len(options[other]))
    }

    def met(choice: dict[str, int]) -> set[tuple[str, int, str, int]]:
        return {(a, choice[a], b, choice[b]) for a, b in combinations(names, 2)} & left

    while left:
        one, i, other, j = min(left)
        tried = [
            {n: chance.randrange(len(options[n])) for n in names} | {one: i, other: j}
            for _ in range(30)
        ]
        best = max(tried, key=lambda choice: len(met(choice)))
        left -= met(best)
        yield {name: options[name][place] for name, place in best.items()}


PAIRS = list(pairs())


@pytest.mark.parametrize("choice", PAIRS, ids=range(len(PAIRS)))
def test_any_two_options_go_together(
    choice: dict[str, Any],
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {name: choice[name] for name in RECIPE}
    sources = case.faulty if options["bad_rows"] else case.sound
    if choice["indexed"]:
        sources = [sources[0], tmp_path / "table.npz"]
        pe.convert(case.sound[1], sources[1])
        options["layout"] = options["layout"] and [options["layout"], None]
    dim = 2 * DIM if options["combine"] == "concat" else DIM
    if "pca" in options["postprocess"]:
        dim = 2
    options["onto"] = case.old[dim] if options["onto"] else None
    expected = pe.build_matrix(
        case.vocabulary, sources, **grouped(threads=1, **options)
    )

    in_ranges(monkeypatch, choice["ranges"], len(case.vocabulary), dim)
    out = choice["out"] and tmp_path / choice["out"]
    with ThreadPoolExecutor(2) as pool:
        built = pe.build_matrix(
            case.vocabulary,
            sources,
            **grouped(
                out=out,
                files=3 if choice["out"] == "model" else None,
                executor=pool if choice["executor"] else None,
                memory=choice["memory"],
                threads=choice["threads"],
                **options,
            ),
        )

    assert_same(built, expected)
    if out is not None:
        assert_same(pe.load_matrix(out), expected)


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"files": 0, "out": "m"}, pe.errors.OptionError, "files is 0"),
    ({"files": 99, "out": "m"}, pe.errors.OptionError, "shards is 99 for 62 rows"),
    ({"out": "m.txt"}, pe.errors.OptionError, "rows go into files that end in"),
    ({"out": "m.bin"}, pe.errors.OptionError, "rows go into files that end in"),
    ({"memory": 0}, pe.errors.OptionError, "memory is 0"),
    ({"scale": (1, 2, 3)}, pe.errors.OptionError, "3 factors for 2 sources"),
    (
        {"combine": "concat", "onto": DIM},
        pe.errors.ShapeError,
        "8 dimensions; those to be",
    ),
    (
        {"postprocess": "pca:2", "onto": DIM},
        pe.errors.ShapeError,
        "2 dimensions; those to",
    ),
    ({"postprocess": "pca:5"}, pe.errors.OptionError, "pca:5 of vectors of 4"),
    ({"layout": [None]}, pe.errors.OptionError, "1 layouts for 2 sources"),
    ({"bad_rows": 2.5}, pe.errors.OptionError, "bad_rows"),
    ({"oov": "zeros,parts"}, pe.errors.OptionError, "nothing left to fill"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_what_does_not_go_together_is_refused_before_a_row_is_read(
    options: dict[str, Any], error: Any, message: str, case: Case, tmp_path: Path
) -> None:
    if "out" in options:
        options = options | {"out": tmp_path / options["out"]}
    if "onto" in options:
        options = options | {"onto": case.old[options["onto"]]}

    options = {"bad_rows": 1.0} | options
    with pytest.raises(error, match=message):
        pe.build_matrix(case.vocabulary, case.faulty, **grouped(**options))

    assert not list(tmp_path.iterdir())
