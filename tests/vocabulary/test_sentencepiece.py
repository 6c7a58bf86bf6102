"""SentencePiece models and vocabs, and bytes that are neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary
from tests.vocabulary.messages import field, piece
from tests.vocabulary.test_library_files import DATA

UNKNOWN, CONTROL, USER = 2, 3, 4
HEAD = piece("<unk>", UNKNOWN) + piece("<s>", CONTROL)
REAL = (DATA / "sp-bpe.model").read_bytes()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("sentencepiece") / "any.model"


@pytest.fixture
def read(tmp_path):
    def read(content, **options):
        path = tmp_path / "spiece.model"
        path.write_bytes(content)
        return Vocabulary.from_file(path, **options)

    return read


def test_pieces_are_tokens_in_order_of_id(read):
    vocab = read(HEAD + piece("▁the") + piece("<mask>", USER) + piece("<0x0A>", 6))

    assert vocab.tokens == ("<unk>", "<s>", "▁the", "<mask>", "<0x0A>")
    assert vocab.special_tokens == {"unk": "<unk>", "bos": "<s>"}
    assert (vocab.pad_id, vocab.unk_id) == (None, 0)


def test_special_pieces_have_the_names_the_trainer_was_told(read):
    told = field(45, "⁇") + field(46, "[CLS]") + field(48, "[PAD]") + field(43, 1)
    pieces = piece("⁇", UNKNOWN) + piece("[PAD]", CONTROL) + piece("[CLS]", CONTROL)

    vocab = read(pieces + field(2, told))

    assert vocab.special_tokens == {"unk": "⁇", "bos": "[CLS]", "pad": "[PAD]"}


def test_spaces_at_the_end_of_words_are_no_marks_that_we_know(read):
    assert read(HEAD).marks == "sentencepiece"
    assert read(HEAD + field(2, field(24, 1))).marks is None


def test_no_pad_is_minus_1(read):
    assert read(HEAD + field(2, field(43, 2**64 - 1))).pad_id is None


def test_a_pad_that_is_promised_and_not_there_is_named(read):
    content = HEAD + piece("[PAD]") + field(2, field(43, 3))

    with pytest.raises(VocabularyError, match=r"the pad token '<pad>' is.*'\[PAD\]'"):
        read(content)
    assert read(content, pad="[PAD]").pad_id == 2
    assert read(content, pad=None).pad_id is None


def test_a_piece_that_comes_twice_is_named_with_both_ids(read):
    with pytest.raises(VocabularyError, match=r"spiece.model: .*'a' has id 2 and .* 3"):
        read(HEAD + piece("a") + piece("a"))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (field(1, 7), "the number 7 where a message should be"),
        (field(2, 7), "the number 7 where a message should be"),
        (field(1, field(1, 7)), "the number 7 where text should be"),
        (piece(b"\xff"), r"at byte 34: b'\\xff' is not UTF-8"),
        (b"\x0a\xff\x01", "255 bytes where 0 are left; is the file cut off"),
    ],
)
def test_what_is_wrong_in_a_model_is_named(read, more, what):
    with pytest.raises(VocabularyError, match=f"not a SentencePiece model: .*{what}"):
        read(HEAD + more)


def test_a_message_without_pieces_is_no_model(read):
    with pytest.raises(VocabularyError, match="there is no piece in it"):
        read(field(2, field(45, "<unk>")), kind="sentencepiece")


@pytest.mark.parametrize("text", [b"\nz\na\nb\n", b"\n\x07\n\x01\n"])
def test_lines_are_not_taken_for_a_model(read, text):
    with pytest.raises(VocabularyError, match=r"spiece.model:1: no token in this line"):
        read(text)


@given(st.integers(0, len(REAL) - 1), st.binary(max_size=9), st.integers(0, 9))
def test_a_damaged_model_is_a_vocabulary_or_an_error_of_ours(scratch, at, new, gone):
    scratch.write_bytes(REAL[:at] + new + REAL[at + gone :])

    for kind in (None, "sentencepiece"):
        try:
            assert len(Vocabulary.from_file(scratch, kind=kind))
        except VocabularyError as error:
            assert str(scratch) in str(error)  # noqa: PT017  (either is right)


@given(st.binary(max_size=80).map(b"\n".__add__))
def test_any_bytes_are_a_vocabulary_or_an_error_of_ours(scratch, raw):
    scratch.write_bytes(raw)

    try:
        assert len(Vocabulary.from_file(scratch))
    except VocabularyError as error:
        assert str(scratch) in str(error)  # noqa: PT017  (either is right)


def test_a_vocab_is_told_from_counts_by_its_scores(read):
    vocab = read(b"<unk>\t0\n<pad>\t0\n\xe2\x96\x81a\t-1.5\nb\t-2e-05\n")

    assert vocab.tokens == ("<unk>", "<pad>", "▁a", "b")
    assert vocab.special_tokens == {"pad": "<pad>", "unk": "<unk>"}
    assert vocab.counts is None
    assert read(b"<unk>\t0\na\t3\n").counts.tolist() == [0, 0, 3]
    assert read(b"a\t-0\nb\t-1\n").tokens == ("a", "b")


def test_a_special_name_with_a_score_is_a_piece_like_others(read):
    assert read(b"<unk>\t0\n<s>\t-3\n").special_tokens == {"unk": "<unk>"}


@pytest.mark.parametrize("line", [b"a", b"a\tb", b"\t-1", b"", b"a\t--1"])
def test_a_line_without_a_score_is_named_where_a_vocab_is_wanted(read, line):
    with pytest.raises(VocabularyError, match=r"spiece.model:2: expected PIECE<TAB>"):
        read(b"<unk>\t0\n" + line + b"\nb\t-1\n", kind="sentencepiece")


def test_a_piece_of_a_vocab_that_comes_twice_is_named(read):
    with pytest.raises(VocabularyError, match=r"spiece.model: .*'a' has id 1 and .* 2"):
        read(b"<unk>\t0\na\t-1\na\t-2\n")
