"""``tokenizer.json``: kinds of model, special tokens, marks, and faults."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary
from tests.vocabulary.test_library_files import DATA

REAL = (DATA / "wordpiece.json").read_bytes()
MODEL = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizer") / "any"


@pytest.fixture
def read(tmp_path):
    def read(value, **options):
        path = tmp_path / "tok"  # known by its content, whatever its name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return Vocabulary.from_file(path, **options)

    return read


def added(id, content, special=False):
    return {"id": id, "content": content, "special": special}


def test_a_model_and_added_tokens_share_their_ids(read):
    tokens = [added(3, "[MASK]", special=True), added(1, "b"), added(5, "new york")]

    vocab = read({"model": MODEL, "added_tokens": tokens})

    assert vocab.ids == {"a": 0, "b": 1, "[MASK]": 3, "new york": 5}
    assert vocab.holes.tolist() == [2, 4]
    assert vocab.special_tokens == {"unk": "a", "mask": "[MASK]"}


def test_a_list_of_pieces_and_scores_is_in_order_of_id(read):
    vocab = read({"model": {"vocab": [["<unk>", 0.0], ["▁a", -1.5]], "unk_id": 0}})

    assert vocab.tokens == ("<unk>", "▁a")
    assert vocab.unk_id == 0


def test_no_pad_and_no_unk_may_be_said(read):
    model = {**MODEL, "unk_token": None}

    vocab = read({"model": model, "added_tokens": None, "padding": None})

    assert (vocab.pad_id, vocab.unk_id) == (None, None)


def test_cls_and_sep_are_named_by_a_post_processor(read):
    processor = {"type": "RobertaProcessing", "sep": ["b", 1], "cls": ["a", 0]}

    special = read({"model": MODEL, "post_processor": processor}).special_tokens

    assert special == {"unk": "a", "cls": "a", "sep": "b"}


def test_special_tokens_with_customary_names_have_the_parts_of_these(read):
    names = ["<|pad|>", "[CLS]", "<SEP>", "<s>", "</s>", "<mask>", "<bos>", "<tool>"]
    tokens = [added(id, name, special=True) for id, name in enumerate(names, 2)]

    special = read({"model": MODEL, "added_tokens": tokens}).special_tokens

    assert special == {
        "pad": "<|pad|>",
        "unk": "a",
        "cls": "[CLS]",
        "sep": "<SEP>",
        "bos": "<s>",
        "eos": "</s>",
        "mask": "<mask>",
        "<bos>": "<bos>",
        "<tool>": "<tool>",
    }


@pytest.mark.parametrize(
    ("parts", "marks"),
    [
        ({}, None),
        ({"pre_tokenizer": {"type": "ByteLevel"}}, "byte-level"),
        ({"decoder": {"type": "Metaspace"}}, "sentencepiece"),
        ({"normalizer": {"type": "Prepend", "prepend": "▁"}}, "sentencepiece"),
        ({"normalizer": {"type": "Replace", "content": "▁"}}, "sentencepiece"),
        ({"pre_tokenizer": {"type": "Whitespace"}, "decoder": None}, None),
        (
            {
                "pre_tokenizer": {
                    "type": "Sequence",
                    "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}],
                }
            },
            "byte-level",
        ),
    ],
)
def test_marks_are_told_by_the_parts_of_the_pipeline(read, parts, marks):
    assert read({"model": MODEL, **parts}).marks == marks


def test_marks_of_wordpiece_are_told_by_the_prefix(read):
    assert read({"model": MODEL | {"continuing_subword_prefix": "##"}}).marks == (
        "wordpiece"
    )
    assert read({"model": MODEL | {"continuing_subword_prefix": "@@"}}).marks is None


def test_a_pad_that_is_not_in_the_vocabulary_is_named(read):
    value = {"model": MODEL, "padding": {"pad_token": "[PAD]", "pad_id": 0}}

    with pytest.raises(VocabularyError, match=r"tok: the pad token '\[PAD\]' is not"):
        read(value)
    assert read(value, pad=None).pad_id is None
    assert read(value, pad="b").pad_id == 1


def test_a_pad_asked_for_that_has_no_room_is_named(read):
    with pytest.raises(VocabularyError, match=r"'<pad>' is not .* id 0 is that of 'a'"):
        read({"model": MODEL}, pad="<pad>")


@pytest.mark.parametrize(
    ("tokens", "what"),
    [
        ([added(2, "b")], "'b' has id 1 in the model, and id 2 among the added"),
        ([added(1, "c")], "'b' and 'c' both have id 1"),
        ([added(-1, "c")], "the id of token 'c' is -1"),
        ([added("2", "c")], "the id of token 'c' is '2'"),
        ([added(10**9, "c")], "'c' has id 1000000000"),
    ],
)
def test_ids_that_cannot_be_are_named_with_their_token(read, tokens, what):
    with pytest.raises(VocabularyError, match=f"tok: .*{what}"):
        read({"model": MODEL, "added_tokens": tokens})


def test_a_token_that_is_twice_in_a_model_is_named(read):
    with pytest.raises(VocabularyError, match="'a' is there twice, with ids 0 and 1"):
        read('{"model": {"vocab": {"a": 0, "a": 1}}}')
    with pytest.raises(VocabularyError, match="'a' has id 0 and again id 1"):
        read({"model": {"vocab": [["a", 0], ["a", 0]]}})


@pytest.mark.parametrize(
    "value",
    [
        {"model": {"vocab": 3}},
        {"model": {"vocab": [["a"]]}},
        {"model": {"vocab": [["a", 0]], "unk_id": 7}},
        {"model": {"vocab": [[["a"], 0]]}},
        {"model": MODEL, "added_tokens": [{"id": 3}]},
        {"model": MODEL, "added_tokens": [3]},
        {"model": MODEL, "added_tokens": [{"id": 3, "content": ["c"]}]},
        {"model": MODEL, "padding": 7},
        {"model": MODEL, "padding": {"pad_id": 0}},
        {"model": MODEL, "padding": {"pad_token": ["a"]}},
        {"model": MODEL, "decoder": 7},
        {"model": MODEL | {"unk_token": 7}},
    ],
)
def test_json_of_another_form_is_an_error_of_ours(read, value):
    with pytest.raises(VocabularyError, match=r"^/.*tok: "):
        read(value)


@pytest.mark.parametrize("value", ["[]", "3", '{"a": 1}', '{"model": 3}', "null"])
def test_other_json_is_no_tokenizer_where_one_is_wanted(read, value):
    with pytest.raises(VocabularyError, match=r"not a tokenizer\.json of Hugging"):
        read(value, kind="tokenizer")


@given(st.integers(0, len(REAL) - 1), st.sampled_from(b'[]{}",:0-na\\'))
def test_a_damaged_file_is_a_vocabulary_or_an_error_of_ours(scratch, at, byte):
    scratch.write_bytes(REAL[:at] + bytes([byte]) + REAL[at + 1 :])

    for kind in (None, "tokenizer"):
        try:
            assert len(Vocabulary.from_file(scratch, kind=kind))
        except VocabularyError as error:
            assert str(scratch) in str(error)  # noqa: PT017  (either is right)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.text("ab[]", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["content", "id", "type", "a"]), inner)
    ),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {"model": st.fixed_dictionaries({"vocab": json_values | st.just({"a": 0})})},
        optional=dict.fromkeys(
            ["added_tokens", "padding", "decoder", "post_processor"], json_values
        ),
    )
)
def test_json_of_any_form_is_a_vocabulary_or_an_error_of_ours(scratch, value):
    scratch.write_text(json.dumps(value))

    try:
        assert len(Vocabulary.from_file(scratch, kind="tokenizer"))
    except VocabularyError as error:
        assert str(scratch) in str(error)  # noqa: PT017  (either is right)
