"""How words are cut up by tokenizers of all customs."""

import json

import pytest

import pretrained_embed as pe
from pretrained_embed.tools.transplant import tokenizer
from pretrained_embed.vocabulary.markers import TokenText

BYTES = {"Ġhello": 0, "Ġ": 1, "Ġworld": 2, "ing": 3, "Ġun": 4, "un": 5}
PIECES = {"▁hello": 0, "▁": 1, "s": 2, "▁un": 3, "un": 4, "happy": 5, "▁happy": 6}
WORDPIECE = {"hello": 0, "##ing": 1, "##un": 2, "un": 3, "happy": 4, "##happy": 5}


def cut_for(tokens, pieces, marker=""):
    """Return a tokenizer that answers with ``pieces``, and what it was asked."""
    asked = []

    def cut(text):
        asked.append(text)
        return pieces

    return tokenizer.read(tokens, cut), asked


def test_a_byte_level_tokenizer_is_given_the_space_before_a_word():
    known, asked = cut_for(BYTES, ["Ġun", "ing"])

    assert known.pieces(TokenText(True, "uning")) == [4, 3]
    assert asked == [" uning"]


@pytest.mark.parametrize(
    ("tokens", "begins", "cut", "ids"),
    [
        (PIECES, True, ["▁un", "happy"], [3, 5]),
        (PIECES, True, ["un", "happy"], [3, 5]),  # one that adds no space in front
        (PIECES, False, ["▁un", "happy"], [4, 5]),
        (PIECES, False, ["▁", "s"], [2]),
        (WORDPIECE, False, ["un", "##happy"], [2, 5]),
        (WORDPIECE, True, ["un", "##happy"], [3, 5]),
        (WORDPIECE, False, ["hello", "##ing"], [0, 1]),  # there is no ##hello
        (BYTES, False, ["Ġun", "ing"], [5, 3]),
    ],
)
def test_the_first_piece_is_marked_as_the_token_is(tokens, begins, cut, ids):
    known, _ = cut_for(tokens, cut)

    assert known.pieces(TokenText(begins, "any")) == ids


def test_unknown_pieces_do_not_count(tmp_path):
    content = {"model": {"vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"}}
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(content))

    known = tokenizer.read(file, lambda text: ["[UNK]", "a", "zz"])

    assert known.pieces(TokenText(True, "any")) == [0]


def test_a_unigram_file_is_read_in_order_of_id(tmp_path):
    content = {
        "model": {"vocab": [["<unk>", 0.0], ["▁a", -1.0]], "unk_id": 0},
        "added_tokens": [{"id": 2, "content": "<s>", "special": True}],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))

    known = tokenizer.read(tmp_path)

    assert known.vocabulary.ids == {"<unk>": 0, "▁a": 1, "<s>": 2}
    assert (known.unk, known.special, known.marker) == ("<unk>", {"<s>"}, "▁")


class Transformers:
    """An object with the methods that tokenizers of transformers have."""

    all_special_tokens = ("<s>",)
    unk_token = "<unk>"

    def get_vocab(self):
        return {"<s>": 0, "▁a": 1, "b": 2}

    def tokenize(self, text):
        return ["▁a", "b"] if text == "ab" else []


def test_an_object_with_tokenize_is_a_tokenizer():
    known = tokenizer.read(Transformers())

    assert known.special == {"<s>"}
    assert known.pieces(TokenText(True, "ab")) == [1, 2]
    assert known.text_of("<s>") is None


class Encoding:
    tokens = ("▁a", "<unk>", "b")


class Tokenizers:
    """An object with the methods that tokenizers of the package tokenizers have."""

    def to_str(self):
        model = {"vocab": {"▁a": 0, "b": 1, "<unk>": 2}, "unk_token": "<unk>"}
        return json.dumps({"model": model})

    def encode(self, text, add_special_tokens):
        assert not add_special_tokens
        return Encoding()


def test_an_object_of_tokenizers_tells_what_its_file_would():
    known = tokenizer.read(Tokenizers())

    assert known.unk == "<unk>"
    assert known.pieces(TokenText(True, "a b")) == [0, 1]


def test_other_objects_are_refused():
    with pytest.raises(
        pe.errors.OptionError, match=r"int is no tokenizer: .*get_vocab"
    ):
        tokenizer.read(7)
    with pytest.raises(pe.errors.OptionError, match="cuts up no texts; give pieces="):
        tokenizer.read({"a": 0}).pieces(TokenText(True, "b"))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"model": {"vocab": 3}}', b'{"model": {"vocab": [1]}}'],
)
def test_a_file_that_is_no_tokenizer_is_an_error(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)

    with pytest.raises(pe.errors.FormatError, match=r"tokenizer\.json"):
        tokenizer.read(tmp_path)


def test_a_tokenizer_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(pe.errors.SourceError, match="cannot be read: No such file"):
        tokenizer.read(tmp_path)


def test_without_tokenizers_the_error_says_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}}}')

    with pytest.raises(pe.errors.MissingPackageError, match="pip install tokenizers"):
        tokenizer.read(tmp_path).pieces(TokenText(True, "b"))
