"""Messages: what they show of somebody's data is short enough to be read."""

import ast
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.errors import PretrainedEmbedError, brief

ROOT = Path(pe.__file__).parent
LONG = "a" * 1_000_000


@pytest.mark.parametrize(
    "value", [LONG, LONG.encode(), b"\xff" * 99, [LONG] * 9, {LONG: 1}]
)
def test_what_is_long_is_cut_in_the_middle(value):
    shown = brief(value)

    assert len(shown) < 600
    assert "..." in shown
    assert shown[:3] == repr(value)[:3]
    assert shown[-1] == repr(value)[-1]


@pytest.mark.parametrize("value", ["the", "it's", b"caf\xe9", "x" * 58, 7, None, ["a"]])
def test_what_is_short_is_its_repr(value):
    assert brief(value) == repr(value)


def _matrix():
    return pe.EmbeddingMatrix(np.zeros((2, 3), np.float32), pe.Vocabulary([LONG]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: pe.Vocabulary([LONG, LONG]),
        lambda: pe.Vocabulary({LONG: 1, "b": 1}),
        lambda: pe.Vocabulary({LONG: 10**9}),
        lambda: pe.Vocabulary({LONG: LONG}),
        lambda: pe.Vocabulary(["a"], special_tokens={"mask": LONG}),
        lambda: pe.Vocabulary(["a"], pad=LONG, unk=LONG),
        lambda: pe.Vocabulary(["a"])[LONG],
        lambda: pe.Vocabulary(["a"]).encode([LONG]),
        lambda: pe.Vocabulary(["a"]).encode(LONG),
        lambda: pe.Vocabulary.of([LONG, LONG]),
        lambda: pe.Vocabulary.of({"a": 0}, pad=LONG),
        lambda: _matrix().explain(LONG + "b"),
        lambda: _matrix().plot(LONG),
        lambda: pe.similar(_matrix(), LONG + "b"),
    ],
)
def test_a_token_of_a_million_letters_makes_no_message_of_a_million_letters(make):
    with pytest.raises(PretrainedEmbedError) as caught:
        make()

    assert len(str(caught.value)) < 400


def test_what_is_written_about_a_long_token_is_short(tmp_path):
    (tmp_path / "twice.txt").write_text(f"{LONG}\n{LONG}\n")
    (tmp_path / "v.txt").write_text("the 1 2 3\ncat 4 5 6\n")

    with pytest.raises(pe.errors.VocabularyError) as caught:
        pe.Vocabulary.from_file(tmp_path / "twice.txt")
    matrix = pe.build_matrix(["the", LONG], tmp_path / "v.txt")
    matrix = matrix.with_vectors(np.arange(9).reshape(3, 3) * [[0], [1], [1]])

    assert "line 1" in str(caught.value)
    texts = [caught.value, matrix.coverage, matrix.explain(LONG)]
    assert max(len(str(text)) for text in texts) < 800


#: Names of what a file or a list may hold a million letters of.
FOREIGN = ("token", "line", "raw", "pad", "unk", "word")


def test_no_message_shows_a_token_uncut():
    found = []
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FormattedValue) and node.conversion == ord("r"):
                if isinstance(getattr(node.value, "slice", None), ast.Slice):
                    continue  # cut already
                names = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
                if any(name.rstrip("s").endswith(FOREIGN) for name in names):
                    found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")

    assert found == []
