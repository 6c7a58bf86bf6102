from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import stream_of
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.formats import Doubt, Note
from pretrained_embed.matrix import from_table

WHOLE = [".npz", ".h5", ".safetensors"]
BARE = [".txt", ".vec", ".bin"]

ROWS = [("the", (1.0, 2.0)), ("cat", (3.0, float("nan"))), ("\udcff", (-0.0, 1e-45))]


def example() -> pe.EmbeddingMatrix:
    """A matrix with everything that one can have."""
    vocabulary = pe.Vocabulary(
        {"the": 1, "CAT": 3, "\udcff": 4, "": 7, "new york": 8, "\u00a0\n": 9},
        unk="[UNK]",
        counts={"the": 10, "CAT": 2, "": 5},
        special_tokens={"mask": "new york"},
        marks="byte-level",
    )
    matrix = pe.build_matrix(
        vocabulary,
        reader_of(ROWS),
        recipe=pe.Recipe(
            match="exact,lower", seed=2**64 - 1, special_oov={"unk": "mean"}
        ),
    )
    matrix.provenance["note"] = {"\udcff": [1, 0.5, None, "é"]}
    matrix.findings.bad_rows = 1
    matrix.findings.doubts.append(Doubt(3, None, "half a row"))
    matrix.findings.notes.append(Note("other", "cut"))
    return matrix


def assert_whole(left: pe.EmbeddingMatrix, right: pe.EmbeddingMatrix) -> None:
    for name in ("vectors", "origin", "source_rows"):
        one, two = getattr(left, name), getattr(right, name)
        assert one.dtype == two.dtype
        assert one.tobytes() == two.tobytes()
        assert not two.flags.writeable
    for name in ("tokens", "pad_token", "unk_token", "special_tokens", "marks"):
        assert getattr(left.vocabulary, name) == getattr(right.vocabulary, name)
    np.testing.assert_equal(left.vocabulary.counts, right.vocabulary.counts)
    assert left.provenance == right.provenance
    assert left.findings == right.findings
    assert left.coverage == right.coverage


@pytest.mark.parametrize("suffix", WHOLE)
def test_everything_is_given_back(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    matrix = example()

    matrix.save(path)

    assert_whole(matrix, pe.load_matrix(path))
    assert_whole(matrix, pe.load_matrix(str(path)))


@pytest.mark.parametrize("unk", ["[UNK]", None])
def test_a_folder_for_sentence_transformers_gives_everything_back(tmp_path, unk):
    """The row that its tokenizer needs for unk comes and goes."""
    vocabulary = pe.Vocabulary({"the": 1, "CAT": 3}, unk=unk, counts={"the": 10})
    matrix = pe.build_matrix(vocabulary, reader_of(ROWS), match="exact,lower")

    matrix.save(tmp_path / "m", format="sentence-transformers")

    assert_whole(matrix, pe.load_matrix(tmp_path / "m"))


@pytest.mark.parametrize("suffix", WHOLE)
def test_a_vocabulary_without_pad_unk_counts_and_holes_is_given_back(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    matrix = pe.build_matrix(pe.Vocabulary(["the", "<pad>"], pad=None), reader_of(ROWS))

    matrix.save(path)

    assert_whole(matrix, pe.load_matrix(path))
    assert pe.load_matrix(path).pad_id is None


@pytest.mark.parametrize("suffix", [*WHOLE, *BARE])
def test_equal_builds_save_equal_bytes(tmp_path, suffix):
    for name in ("one", "two"):
        matrix = pe.build_matrix(["the", "oov"], reader_of(ROWS))
        matrix.save(tmp_path / f"{name}{suffix}")

    one, two = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("suffix", WHOLE)
def test_saved_and_loaded_saves_the_same_bytes(tmp_path, suffix):
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    example().save(one)

    pe.load_matrix(one).save(two)

    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("suffix", WHOLE)
def test_a_file_may_be_replaced_while_a_matrix_of_it_is_in_use(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    matrix = example()
    matrix.save(path)
    loaded = pe.load_matrix(path)

    pe.build_matrix(["the"], reader_of(ROWS)).save(path)

    assert_whole(matrix, loaded)


# Files of other tools, and for them


@pytest.mark.parametrize("suffix", BARE)
def test_tokens_and_vectors_are_what_other_formats_hold(tmp_path, suffix):
    matrix = pe.build_matrix(["the", "cat", "oov"], reader_of(ROWS))
    path = tmp_path / f"m{suffix}"

    matrix.save(path)
    back = pe.load_matrix(path)

    assert back.vocabulary.tokens == ("<pad>", "the", "cat", "oov")
    assert back.vectors.tobytes() == matrix.vectors.tobytes()
    assert back.pad_id == 0
    assert [pe.ledger.Origin(code).name for code in back.origin] == ["PAD"] + [
        "EXACT"
    ] * 3
    assert back.source_rows.tolist() == [0, 1, 2, 3]
    assert back.provenance == {"source": {"name": str(path)}}


@pytest.mark.parametrize("suffix", BARE)
def test_what_other_formats_cannot_hold_is_refused(tmp_path, suffix):
    with pytest.raises(pe.errors.WriteError, match="row 2 has no token"):
        example().save(tmp_path / f"m{suffix}")

    assert list(tmp_path.iterdir()) == []


def test_the_first_of_equal_tokens_counts_and_no_row_moves(tmp_path):
    path = tmp_path / "dupped.txt"
    path.write_bytes(b"a 1 1\nb 2 2\na 3 3\nc 4 4\nb 5 5\n")

    matrix = pe.load_matrix(path)

    assert matrix.vocabulary.tokens == ("a", "b", None, "c")
    assert matrix.vectors.tolist() == [[1, 1], [2, 2], [0, 0], [4, 4]]
    assert matrix.source_rows.tolist() == [0, 1, -1, 3]
    assert matrix.findings.duplicates == 2
    assert matrix.findings.rows == 5


@pytest.mark.parametrize(("row", "pad"), [(b"<pad> 0 -0.0", 1), (b"<pad> 0 1", None)])
def test_a_pad_token_is_the_pad_if_its_row_is_zeros(tmp_path, row, pad):
    path = tmp_path / "f.txt"
    path.write_bytes(b"a 1 1\n" + row + b"\n")

    matrix = pe.load_matrix(path)

    assert matrix.pad_id == pad
    assert matrix.vocabulary["<pad>"] == 1


# Damage


def damaged(tmp_path, **changes):
    """Return what comes of a saved matrix with parts changed, or left out (None)."""
    table = example().table()
    metadata = table.metadata | {
        k: v for k, v in changes.items() if k in table.metadata
    }
    arrays = table.arrays | {k: v for k, v in changes.items() if k in table.arrays}
    table = table._replace(
        metadata={key: value for key, value in metadata.items() if value is not None},
        arrays={key: value for key, value in arrays.items() if value is not None},
    )
    formats.write_table(tmp_path / "m.npz", table)
    return pe.load_matrix(tmp_path / "m.npz")


ROWS_OF_EXAMPLE = 11


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretrained_embed": 2}, r"version 2; this release reads version 1\. Upgrade"),
        ({"pretrained_embed": "1"}, "version 1; this release"),
        ({"origins": {"exact": 1}}, "codes of its row ledger"),
        ({"origins": None}, "codes of its row ledger"),
        ({"origins": {"unused": 0, "later": 99}}, "codes of its row ledger"),
        ({"origins": {"unused": 0}}, "holds the code 1"),
        ({"vocabulary": None}, "a part of the matrix is missing: 'vocabulary'"),
        ({"vocabulary": {"pad": "<pad>"}}, "missing: 'unk'"),
        ({"vocabulary": []}, "a part of the matrix is missing"),
        ({"vocabulary": {"pad": 5, "unk": None}}, "pad"),
        ({"vocabulary": {"pad": None, "unk": []}}, "unk"),
        ({"vocabulary": {"pad": None, "unk": None, "special_tokens": 3}}, "mapping"),
        ({"vocabulary": {"pad": None, "unk": None, "marks": []}}, "marks is"),
        ({"vocabulary": {"pad": "the", "unk": None}}, "'the', is not zeros"),
        ({"vocabulary": {"pad": None, "unk": "other"}}, r"shape \(11,\) for 12 rows"),
        ({"findings": None}, "missing: 'findings'"),
        ({"findings": []}, "a part of the matrix is missing"),
        ({"findings": {"doubts": [[1]]}}, "a part of the matrix is missing"),
        ({"findings": {"doubts": [], "other": 1}}, "a part of the matrix is missing"),
        ({"provenance": []}, "provenance is not a JSON object"),
        ({"provenance": None}, "missing: 'provenance'"),
        ({"origin": None}, "missing: 'origin'"),
        ({"origin": np.zeros(3, np.uint8)}, r"origin of shape \(3,\) for 11 rows"),
        ({"origin": np.full(ROWS_OF_EXAMPLE, 200, np.uint8)}, "holds the code 200"),
        ({"origin": np.zeros(ROWS_OF_EXAMPLE)}, "row ledger is not of whole numbers"),
        ({"source_rows": np.zeros(ROWS_OF_EXAMPLE)}, "not of whole numbers"),
        ({"source_rows": np.zeros((ROWS_OF_EXAMPLE, 1), np.int64)}, "source_rows of"),
        ({"counts": np.zeros(3, np.int64)}, r"counts of shape \(3,\)"),
        ({"counts": np.full(ROWS_OF_EXAMPLE, -1)}, "count"),
        ({"counts": np.full(ROWS_OF_EXAMPLE, 0.5)}, "count"),
        ({"holes": None}, "stands at two rows"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(pe.errors.FormatError, match=message) as caught:
        damaged(tmp_path, **changes)

    assert "m.npz" in str(caught.value)


def test_a_ledger_of_an_older_release_with_fewer_codes_is_read(tmp_path):
    older = {"unused": 0, "pad": 1, "oov": 2, "exact": 16, "lower": 17}

    assert_whole(example(), damaged(tmp_path, origins=older))


def test_the_example_is_only_refused_for_its_damage(tmp_path):
    assert_whole(example(), damaged(tmp_path))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    part=st.sampled_from(["vocabulary", "findings", "provenance", "origins"]),
    key=st.sampled_from(["pad", "unk", "doubts", "rows", "notes"]),
    value=json_values,
)
def test_any_metadata_gives_a_matrix_or_our_error(part, key, value):
    table = example().table()
    metadata = json.loads(json.dumps(table.metadata))
    metadata[part] = metadata[part] | {key: value} if key in metadata[part] else value

    try:
        matrix = from_table(table._replace(metadata=metadata), "m")
    except pe.errors.FormatError:
        return
    assert matrix.shape == (ROWS_OF_EXAMPLE, 2)
    assert str(matrix.coverage)
    assert from_table(matrix.table(), "m").provenance == matrix.provenance


@pytest.mark.parametrize("suffix", WHOLE)
def test_a_file_cut_in_half_is_refused(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    example().save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])

    with pytest.raises(pe.errors.FormatError):
        pe.load_matrix(path)


def test_a_matrix_is_a_file_of_vectors_too(tmp_path):
    matrix = pe.build_matrix(["the", "cat"], reader_of(ROWS))
    matrix.save(tmp_path / "m.npz")

    again = pe.build_matrix(["cat"], tmp_path / "m.npz")
    with formats.open_reader(stream_of(tmp_path / "m.npz")) as reader:
        (block,) = reader.blocks()

    assert again["cat"].tobytes() == matrix["cat"].tobytes()
    assert block.tokens == ["<pad>", "the", "cat"]


def test_a_saved_vocabulary_still_lowers_texts(tmp_path: Path) -> None:
    vocabulary = pe.Vocabulary(["nice"], lower=True)
    matrix = pe.EmbeddingMatrix(np.eye(2, dtype=np.float32) * [[0], [1]], vocabulary)

    matrix.save(tmp_path / "m.npz")

    loaded = pe.load_matrix(tmp_path / "m.npz")
    assert loaded.vocabulary.encode(["NICE"]).tolist() == [[1]]


def test_a_tokenizer_that_no_file_can_hold_is_missed_aloud(tmp_path: Path) -> None:
    vocabulary = pe.Vocabulary(["n", "i"], tokenize=list)
    matrix = pe.EmbeddingMatrix(np.zeros((3, 2), np.float32), vocabulary)

    matrix.save(tmp_path / "m.npz")

    loaded = pe.load_matrix(tmp_path / "m.npz")
    assert loaded.vocabulary.encode([["n", "i"]]).tolist() == [[1, 2]]
    with pytest.raises(pe.errors.OptionError, match="split texts with list"):
        loaded.vocabulary.encode(["ni"])
