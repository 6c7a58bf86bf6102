"""Tokens that deeplearning4j wrote in base64."""

from __future__ import annotations

import base64

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.errors import RowError

TOKENS = ["the", "new york", "日本", "B64:", "the"]
NUMBERS = [[0.25, -0.5, 1], [1.5, 2, -3], [1, 2, 3], [4, 5, 6], [7, 8, 9]]


def encoded(token):
    return "B64:" + base64.b64encode(token.encode()).decode()


def written(folder, tokens=TOKENS, header="5 3 120\n"):
    lines = [
        " ".join([token, *map(str, numbers)]) + "\n"
        for token, numbers in zip(tokens, NUMBERS, strict=False)
    ]
    path = folder / "dl4j.txt"
    path.write_text(header + "".join(lines), "utf-8")
    return path


@pytest.mark.parametrize("header", ["", "5 3\n", "5 3 120\n"])
def test_tokens_are_decoded(tmp_path, header):
    path = written(tmp_path, [*map(encoded, TOKENS)], header)

    with pe.open_vectors(path, library=pe.Library(stores=False)) as reader:
        (block,) = reader.blocks()
        codes = reader.findings.codes
    matrix = pe.build_matrix(["new york", "日本", "the"], path, oov="zeros")

    assert block.tokens == TOKENS
    assert block.vectors.tolist() == NUMBERS
    assert "text.base64-tokens" in codes
    assert ("header.three-integers" in codes) == (header == "5 3 120\n")
    found = [matrix.vectors[matrix.vocabulary[token]] for token in TOKENS[:3]]
    assert np.array_equal(found, NUMBERS[:3])
    assert matrix.findings.duplicates == 1


def test_what_is_no_base64_stays_as_it_stands(tmp_path):
    nearly = ["B64:dGhl=", "B64:a", "B64:new york", "B64:0003==", "x"]

    with pe.open_vectors(written(tmp_path, nearly, "5 3\n")) as reader:
        (block,) = reader.blocks()

    assert block.tokens == nearly
    assert "text.base64-tokens" not in reader.findings.codes


def test_below_three_integers_other_tokens_are_not_decoded(tmp_path):
    with pe.open_vectors(written(tmp_path, TOKENS)) as reader:
        (block,) = reader.blocks()

    assert block.tokens == TOKENS
    assert reader.findings.codes == {"header.three-integers": 1}


def test_rows_are_counted_with_those_that_are_left_out(tmp_path):
    path = written(tmp_path, [*map(encoded, TOKENS)])
    path.write_text(path.read_text("utf-8").replace("1.5 2 -3", "1.5 2 x"), "utf-8")

    with pytest.raises(RowError, match="line 3"):
        pe.build_matrix(["the", "日本"], path)
    matrix = pe.build_matrix(
        ["日本"], path, oov="zeros", limits=pe.Limits(bad_rows=1.0)
    )

    assert matrix.findings.bad_rows == 1
    assert matrix.vectors[matrix.vocabulary["日本"]].tolist() == NUMBERS[2]
