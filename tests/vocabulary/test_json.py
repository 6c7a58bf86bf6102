"""Vocabulary files of JSON, and how they are told from text."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary


@pytest.fixture
def write(tmp_path):
    def write(content, name="vocab.txt"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("vocabulary")


def tokens(path, **options):
    return Vocabulary.from_file(path, pad=None, **options).tokens


def test_a_list_is_tokens_in_order(write):
    path = write(b'["", "a\\nb", "caf\xc3\xa9"]', "vocab.json")

    assert tokens(path) == ("", "a\nb", "café")


def test_an_object_is_tokens_and_their_ids(write):
    vocab = Vocabulary.from_file(write(b'{"the": 1, "cat": 3}', "vocab.JSON"))

    assert vocab.tokens == ("<pad>", "the", None, "cat")


@pytest.mark.parametrize("content", [b'["the"]', b'{"the": 0}', b'[\n "the"\n]\n'])
def test_json_is_recognised_by_its_content(write, content):
    assert tokens(write(content)) == ("the",)


def test_json_is_recognised_by_its_name(write):
    assert tokens(write(b' ["the"]', "vocab.JSON")) == ("the",)
    assert tokens(write(b' ["the"]', "vocab.txt")) == (' ["the"]',)


def test_a_byte_order_mark_is_dropped(write):
    assert tokens(write(b'\xef\xbb\xbf["the"]', "vocab.json")) == ("the",)


@pytest.mark.parametrize("first", ["[PAD]", "[", "{", "[[[[", "[" * 100_000])
def test_text_whose_first_token_starts_like_json_is_text(write, first):
    path = write(f"{first}\n[UNK]\nthe\n".encode())

    assert tokens(path) == (first, "[UNK]", "the")


def test_kind_text_takes_json_as_lines(write):
    assert tokens(write(b'["the"]', "v.json"), kind="text") == ('["the"]',)


def test_kind_json_wants_json(write):
    with pytest.raises(VocabularyError, match=r"vocab.txt:1:1: not JSON"):
        tokens(write(b"the\n"), kind="json")


def test_a_fault_is_named_with_line_and_column(write):
    path = write(b'["the",\n "cat" "sat"]', "vocab.json")

    with pytest.raises(VocabularyError, match=r"vocab.json:2:8: not JSON: Expec"):
        tokens(path)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}"])
def test_json_python_will_not_read_is_an_error_of_ours(write, content):
    with pytest.raises(VocabularyError, match=r"vocab.json: not JSON that can be"):
        tokens(write(content, "vocab.json"))


@pytest.mark.parametrize("content", [b'"the"', b"3", b"null"])
def test_neither_list_nor_object_is_refused(write, content):
    with pytest.raises(VocabularyError, match=r"vocab.json: expected a list"):
        tokens(write(content, "vocab.json"))


@pytest.mark.parametrize("content", [b"[]", b"{}"])
def test_an_empty_one_is_refused(write, content):
    with pytest.raises(VocabularyError, match=r"vocab.txt: the vocabulary is empty"):
        tokens(write(content))


@pytest.mark.parametrize("item", ["1", "null", '["b"]', '{"b": 1}'])
def test_an_item_that_is_no_string_is_named_with_its_position(write, item):
    path = write(f'["a", {item}]'.encode(), "vocab.json")

    with pytest.raises(VocabularyError, match=r"vocab.json: .* position 1 is"):
        tokens(path)


def test_a_repeated_item_is_named_with_both_positions(write):
    path = write(b'["a", "b", "a"]', "vocab.json")

    with pytest.raises(VocabularyError, match=r"vocab.json: .*0 and again .* 2"):
        tokens(path)


def test_a_repeated_key_is_named_with_both_ids(write):
    path = write(b'{"a": 1, "b": 2, "a": 3}', "vocab.json")

    with pytest.raises(VocabularyError, match=r"'a' is there twice, with ids 1 and"):
        tokens(path)


@pytest.mark.parametrize("value", ["true", "1.0", "-1", '"1"', "null", "NaN", "[1]"])
def test_an_id_that_is_no_whole_number_from_0_is_named(write, value):
    path = write(f'{{"a": 1, "b": {value}}}'.encode())

    with pytest.raises(VocabularyError, match=r"vocab.txt: the id of token 'b' is"):
        tokens(path)


def test_a_repeated_id_is_named_with_both_tokens(write):
    path = write(b'{"a": 1, "b": 1}', "vocab.json")

    with pytest.raises(VocabularyError, match=r"vocab.json: .*'a' and 'b' both"):
        tokens(path)


def test_a_lone_surrogate_is_refused(write):
    with pytest.raises(VocabularyError, match=r"vocab.json: .*lone surrogate"):
        tokens(write(b'["\\ud800"]', "vocab.json"))


@settings(deadline=None)  # files take their time
@given(st.lists(st.text(st.characters(codec="utf-8")), unique=True, min_size=1))
def test_what_json_writes_is_read_back(scratch, expected):
    path = scratch / "vocab.json"

    path.write_text(json.dumps(expected), encoding="utf-8")

    assert tokens(path) == tuple(expected)
