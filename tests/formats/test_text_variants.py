"""Text as each tool writes it, in every packing, through the public names."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from conformance import all_rows

import pretrained_embed as pe
from tests.sources.packed import PACKINGS, make


class Variant(NamedTuple):
    text: str
    tokens: list[str]
    vectors: list[list[float]]


VARIANTS = {
    "glove": Variant(
        "the 0.418 0.24968 -0.41242\n, 0.013441 0.23682 -0.16899\n"
        ".\u00a0. 0.15164 0.30177 -0.16763\n",
        ["the", ",", ".\u00a0."],
        [
            [0.418, 0.24968, -0.41242],
            [0.013441, 0.23682, -0.16899],
            [0.15164, 0.30177, -0.16763],
        ],
    ),
    "word2vec": Variant(  # a space after each number, as word2vec.c writes
        "2 3\n</s> 0.001334 0.001473 -0.001277 \nNew_York 0.080341 0.102271 0.1 \n",
        ["</s>", "New_York"],
        [[0.001334, 0.001473, -0.001277], [0.080341, 0.102271, 0.1]],
    ),
    "fasttext": Variant(  # five digits, a space at the end
        "3 2\n, 0.1073 0.0089 \nthe 0.0897 -3.6e-05 \n\u00a0 1.23e-05 -1 \n",
        [",", "the", "\u00a0"],
        [[0.1073, 0.0089], [0.0897, -3.6e-05], [1.23e-05, -1]],
    ),
    "tabs": Variant(
        "new york\t0.5\t-1\nthe\t1e-3\t2\n",
        ["new york", "the"],
        [[0.5, -1], [1e-3, 2]],
    ),
    "numberbatch": Variant(
        "2 3\n/c/en/coffee_pot 0.0115 -0.0245 0.1\n/c/fr/#####ème 0.4 0.5 0.6\n",
        ["/c/en/coffee_pot", "/c/fr/#####ème"],
        [[0.0115, -0.0245, 0.1], [0.4, 0.5, 0.6]],
    ),
    "wikipedia2vec": Variant(
        "3 2\nthe\t0.1000 -0.2000\nENTITY/The Beatles\t0.3000 0.4000\n10 000\t5 6\n",
        ["the", "ENTITY/The Beatles", "10 000"],
        [[0.1, -0.2], [0.3, 0.4], [5, 6]],
    ),
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("packing", PACKINGS)
def test_text_is_read_as_it_is_written_in_every_packing(tmp_path, variant, packing):
    path = make(packing, tmp_path, variant.text.encode())

    with pe.open_vectors(path) as reader:
        tokens, vectors = all_rows(reader)
    vocabulary = pe.Vocabulary([*reversed(variant.tokens), "missing"])
    matrix = pe.build_matrix(vocabulary, path, oov="zeros")

    expected = np.array(variant.vectors, np.float32)
    assert reader.format == "text"
    assert tokens == variant.tokens
    assert vectors.tobytes() == expected.tobytes()
    assert matrix.vectors[1:-1].tobytes() == expected[::-1].tobytes()
    assert not matrix.vectors[[0, -1]].any()
    assert matrix.coverage.found == len(tokens)
    assert matrix.findings.bad_rows == matrix.findings.suspicious_rows == 0
