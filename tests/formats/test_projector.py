"""The Embedding Projector's vectors.tsv, with the tokens beside it."""

from __future__ import annotations

import numpy as np
import pytest

from pretrained_embed import Library, formats, open_vectors
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError

VECTORS = "0.25\t-0.5\t1\n1.5\t2\t-0.125\n0.25\t0\t3\n"
NUMBERS = [[0.25, -0.5, 1], [1.5, 2, -0.125], [0.25, 0, 3]]


def read(folder, metadata, *, vectors=VECTORS, name="vectors.tsv"):
    (folder / name).write_text(vectors)
    (folder / name.replace("vectors", "metadata")).write_bytes(metadata)
    with open_vectors(folder / name, library=Library(stores=False)) as reader:
        blocks = list(reader.blocks())
        tokens = [token for block in blocks for token in block.tokens]
        return tokens, np.concatenate([b.vectors for b in blocks]), reader.findings


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "metadata",
    [
        "the\nof\nnew york\n",
        "word\tcount\nthe\t9\nof\t8\nnew york\t7\n",
        "count\tLabel\n9\tthe\n8\tof\n7\tnew york\n",
        "what\tis\nthe\t9\nof\t8\nnew york\t7\n",
    ],
)
def test_tokens_are_those_of_the_metadata(tmp_path, metadata, end):
    raw = metadata.replace("\n", end).encode()

    tokens, vectors, findings = read(tmp_path, raw)

    assert tokens == ["the", "of", "new york"]
    assert vectors.tolist() == NUMBERS
    assert findings.notes[0] == "tokens from metadata.tsv"


def test_names_before_the_words_are_the_same(tmp_path):
    tokens, _, _ = read(tmp_path, b"a\nb\nc\n", name="model_vectors.tsv")

    assert tokens == ["a", "b", "c"]


def test_a_header_before_the_numbers_is_no_row(tmp_path):
    _, vectors, _ = read(tmp_path, b"a\nb\nc\n", vectors=f"3 3\n{VECTORS}")

    assert vectors.tolist() == NUMBERS


@pytest.mark.parametrize("metadata", [b"a\nb\n", b"a\nb\nc\nd\n", b""])
def test_another_number_of_tokens_is_an_error(tmp_path, metadata):
    with pytest.raises(FormatError, match=r"3"):
        read(tmp_path, metadata)


def test_vectors_with_tokens_of_their_own_keep_them(tmp_path):
    vectors = "the\t0.25\t1\nof\t1.5\t2\n"

    tokens, _, _ = read(tmp_path, b"x\ny\n", vectors=vectors)

    assert tokens == ["the", "of"]


def test_vectors_without_tokens_name_the_metadata_that_is_missing(tmp_path):
    (tmp_path / "vectors.tsv").write_text(VECTORS)

    with pytest.raises(FormatError, match=r"metadata\.tsv") as caught:
        open_vectors(tmp_path / "vectors.tsv")

    assert caught.value.code == "text.no-tokens"


def test_what_is_written_for_the_projector_is_read_again(tmp_path):
    numbers = np.array([[0.1, 2], [3, 4]], np.float32)
    table = formats.Table(PackedTokens.pack(["a", "b"]), numbers, {}, {})
    formats.write_table(tmp_path / "p", table, format="projector")

    with open_vectors(
        tmp_path / "p" / "vectors.tsv", library=Library(stores=False)
    ) as reader:
        (block,) = reader.blocks()

    assert list(block.tokens) == ["a", "b"]
    assert block.vectors.tobytes() == numbers.tobytes()
