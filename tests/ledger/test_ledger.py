"""The ledger as a value: its parts, what is joined of them, and the way to arrays."""

from __future__ import annotations

import dataclasses
import io
import pickle
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
from grouped import grouped
from hypothesis import given
from hypothesis import strategies as st
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed.ledger import Advice, Ledger, Origin

ONE = [("the", (1.0, 2.0)), ("paris", (3.0, 4.0)), ("mask", (5.0, 6.0))]
TWO = [("dog", (8.0, 9.0)), ("the", (0.5, 0.5))]
VOCABULARY = pe.Vocabulary(
    {"the": 1, "Paris": 2, "dog": 4, "ZZZ": 5, "mask": 6},
    unk="<unk>",
    counts={"the": 9, "dog": 3},
    special_tokens={"mask": "mask"},
)
KINDS: dict[str, dict[str, Any]] = {
    "one": {"sources": reader_of(ONE)},
    "advised": {"sources": reader_of(ONE), "advise": True},
    "fill": {"sources": [reader_of(ONE), reader_of(TWO)], "match": "exact,lower"},
    "concat": {
        "sources": [reader_of(ONE), reader_of(TWO)],
        "combine": "concat",
        "advise": True,
    },
}


def ledger_of(kind: str) -> Ledger:
    return pe.build_matrix(VOCABULARY, **grouped(**KINDS[kind])).ledger


def with_facts(ledger: Ledger) -> dict[str, Any]:
    return {"provenance": ledger.provenance, "findings": ledger.findings}


@pytest.mark.parametrize("kind", KINDS)
@given(cuts=st.sets(st.integers(0, len(VOCABULARY)), max_size=4))
def test_the_parts_of_a_ledger_are_joined_to_the_same(kind, cuts):
    whole = ledger_of(kind)
    bounds = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:stop] for start, stop in pairwise(bounds)]

    joined = Ledger.join(VOCABULARY, pieces, **with_facts(whole))

    assert joined == whole
    assert [joined[t] for t in VOCABULARY] == [whole[t] for t in VOCABULARY]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [slice(1, 5), slice(0), [5, 0, 3], [], slice(-2, 8)])
def test_some_rows_are_those_of_the_whole(kind, rows):
    whole = ledger_of(kind)
    ids = np.arange(len(whole))[rows].astype(np.int64)

    some = whole[rows]

    assert some.vocabulary.tokens == tuple(VOCABULARY.tokens[id] for id in ids)
    named = VOCABULARY.special_tokens
    here = {part for part, token in named.items() if VOCABULARY[token] in ids}
    assert some.vocabulary.special_tokens.keys() == here
    for part, its in [(some, whole), *zip(some.parts, whole.parts, strict=True)]:
        assert part.origin.tolist() == its.origin[ids].tolist()
        assert part.source_rows.tolist() == its.source_rows[ids].tolist()
    assert some.sources.tolist() == whole.sources[ids].tolist()
    assert some.findings is whole.findings
    if whole.advice is not None:
        assert some.advice.found_by.tolist() == whole.advice.found_by[ids].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_the_ledger_again(kind):
    whole = ledger_of(kind)
    forms = whole.advice and whole.advice.forms

    facts = with_facts(whole) | {"findings": whole.findings.to_dict()}
    again = Ledger.from_arrays(VOCABULARY, whole.arrays(), forms, **facts)

    assert again == whole


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_equal_and_read_only(kind):
    whole = ledger_of(kind)

    again = pickle.loads(pickle.dumps(whole))  # noqa: S301  (our own)

    assert again == whole
    for part in (again, *again.parts):
        for array in (part.origin, part.sources, part.source_rows):
            assert not array.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.origin = whole.origin


CHANGES: dict[str, Any] = {
    "vocabulary": pe.Vocabulary(list("abcdefg")),
    "origin": np.zeros(8),
    "provenance": {},
    "findings": pe.formats.Findings(rows=99),
    "source_rows": np.arange(8),
    "sources": np.zeros(8),
    "parts": (),
    "advice": Advice(("title",), np.zeros(8, np.uint32)),
}


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Ledger)])
def test_ledgers_differ_where_one_field_does(field):
    whole = ledger_of("concat")

    other = dataclasses.replace(whole, **{field: CHANGES[field]})

    assert dataclasses.replace(whole) == whole
    assert other != whole


def test_what_it_is_made_of_may_be_written_to_afterwards():
    origin = np.full(len(VOCABULARY), Origin.EXACT, np.uint8)
    ledger = Ledger(VOCABULARY, origin)

    origin[:] = Origin.OOV

    assert ledger.origin.tolist() == [Origin.EXACT] * len(VOCABULARY)


def test_by_default_every_token_is_found_and_of_no_source():
    ledger = Ledger(VOCABULARY)

    codes = [Origin(code).name for code in ledger.origin]
    assert codes == ["PAD", *["EXACT"] * 2, "UNUSED", *["EXACT"] * 4]
    assert ledger.source_rows.tolist() == ledger.sources.tolist() == [-1] * 8
    assert (ledger.parts, ledger.advice, ledger.provenance) == ((), None, {})


def test_what_is_found_and_what_is_missing():
    ledger = ledger_of("one")

    assert ledger.found.tolist() == [token in ("the", "mask") for token in tokens()]
    assert [tokens()[row] for row in ledger.missing] == ["Paris", "dog", "ZZZ", "<unk>"]
    assert Ledger.blank(VOCABULARY).missing.tolist() == [1, 2, 4, 5, 6, 7]


def tokens() -> tuple[str | None, ...]:
    return VOCABULARY.tokens


def test_rows_of_another_ledger_take_the_place_of_some():
    one = Ledger.blank(VOCABULARY)
    two = Ledger(pe.Vocabulary(["x", "y"], pad=None), [16, 17], source_rows=[5, 6])

    made = one.with_rows(np.array([7, 2]), two.numbered(3), np.array([1, 0]))

    assert made.origin.tolist() == [1, 2, 16, 0, 2, 2, 2, 17]
    assert made.sources.tolist() == [-1, -1, 3, -1, -1, -1, -1, 3]
    assert made.source_rows.tolist() == [-1, -1, 5, -1, -1, -1, -1, 6]


def test_pieces_without_a_token_need_no_parts():
    whole = ledger_of("concat")
    pieces = [Ledger.blank(whole[:1].vocabulary), whole[1:3]]
    pieces += [Ledger.blank(whole[3:4].vocabulary), whole[4:]]

    assert Ledger.join(VOCABULARY, pieces, **with_facts(whole)) == whole


@pytest.mark.parametrize("rows", [slice(1, 3), slice(0), slice(0, 7)])
def test_pieces_that_are_not_all_are_refused(rows):
    with pytest.raises(pe.errors.ShapeError, match="for 8 rows"):
        Ledger.join(VOCABULARY, [ledger_of("one")[rows]])
    with pytest.raises(pe.errors.ShapeError, match="0 rows together for 8 rows"):
        Ledger.join(VOCABULARY, [])


def test_pieces_of_other_sources_are_refused():
    pieces = [ledger_of("concat")[:4], ledger_of("one")[4:]]

    with pytest.raises(pe.errors.ShapeError, match="of 0 and of 2 sources"):
        Ledger.join(VOCABULARY, pieces)


def test_a_token_and_rows_that_are_not_there():
    ledger = ledger_of("one")

    with pytest.raises(pe.errors.UnknownTokenError, match="did you mean 'dog'"):
        ledger["dogg"]
    with pytest.raises(pe.errors.VocabularyError, match="id 8 "):
        ledger[[1, 8]]
    with pytest.raises(pe.errors.VocabularyError, match="whole numbers"):
        ledger[[0.5]]
    with pytest.raises(pe.errors.VocabularyError, match="twice"):
        ledger[[1, 2, 1]]


def test_a_row_is_told_without_its_vector():
    matrix = pe.build_matrix(VOCABULARY, **grouped(**KINDS["fill"]))

    told = matrix.ledger["Paris"]

    assert told.norm is None
    assert "norm" not in str(told)
    assert matrix.explain("Paris") == dataclasses.replace(told, norm=5.0)
    assert told.to_dict()["source_row"] == 1


def test_a_matrix_is_vectors_and_a_ledger():
    matrix = pe.build_matrix(VOCABULARY, **grouped(**KINDS["concat"]))

    again = pe.EmbeddingMatrix(matrix.vectors, matrix.ledger)

    assert again.ledger is matrix.ledger
    assert again.vectors is matrix.vectors
    for field in dataclasses.fields(Ledger):
        assert getattr(again, field.name) is getattr(matrix.ledger, field.name)
    with pytest.raises(pe.errors.OptionError, match="nothing after it"):
        pe.EmbeddingMatrix(matrix.vectors, matrix.ledger, matrix.origin)


def test_the_arguments_of_before_make_the_same_matrix():
    matrix = pe.build_matrix(VOCABULARY, **grouped(**KINDS["concat"]))
    ledger = matrix.ledger
    names = [field.name for field in dataclasses.fields(Ledger)]
    named = {name: getattr(ledger, name) for name in names}

    in_order = pe.EmbeddingMatrix(matrix.vectors, *named.values())
    by_name = pe.EmbeddingMatrix(vectors=matrix.vectors, **named)

    assert in_order.ledger == by_name.ledger == ledger


class Names(pickle.Unpickler):
    """Keeps what a pickle names."""

    found: ClassVar[set[str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.found.add(f"{module}.{name}")
        return super().find_class(module, name)


def names_in(value: object) -> set[str]:
    """Return what of this package the pickle of a value names."""
    Names.found.clear()
    Names(io.BytesIO(pickle.dumps(value))).load()
    return {name for name in Names.found if name.startswith("pretrained_embed.")}


def test_a_matrix_is_pickled_under_its_public_name(tmp_path):
    matrix = pe.build_matrix(VOCABULARY, **grouped(**KINDS["concat"]))
    matrix.save(tmp_path / "m.npz")
    shard = pe.load_matrix(tmp_path / "m.npz", rows=slice(2, 5))

    for value in (matrix, matrix.ledger, shard):
        names = names_in(value)
        assert any(name.endswith(f".{type(value).__name__}") for name in names)
        # the rest is arrays and JSON, whatever modules its classes move to
        inner = names - {"pretrained_embed.ledger.Ledger", "pretrained_embed.Ledger"}
        rooms = ("matrix.", "ledger.", "formats.", "lookup.")
        assert not [name for name in inner if name.split(".", 1)[1].startswith(rooms)]
    again = pickle.loads(pickle.dumps(shard))  # noqa: S301  (our own)
    assert again.ledger == shard.ledger == matrix.ledger[2:5]
    assert not again.vectors.flags.writeable


def test_special_tokens_are_not_looked_for():
    covered = ledger_of("one").coverage

    assert (covered.tokens, covered.found) == (4, 1)
    assert [each.token for each in covered.missing] == ["dog", "Paris", "ZZZ"]
