"""Vocabulary files of text and of counts, and files that are neither."""

import os
import pickle
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrained_embed.errors import OptionError, VocabularyError
from pretrained_embed.files import reading
from pretrained_embed.vocabulary import Vocabulary

# Any text UTF-8 can hold, but the one byte that ends a line and the one before it.
lines = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1, max_size=8
)

# What the kinds of file are made of.
pieces = [b"[", b"]", b"{", b"}", b'"a"', b'"b"', b":", b",", b"1", b"-", b"\t"]
pieces += [b"\n", b"\r", b"\0", b"\xef\xbb\xbf", b"\xc3\xa9", b"\xc3", b"\\ud800"]


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


def test_a_line_is_a_token_after_pad_and_unk(write):
    path = write(b"the\ncat\n")

    vocab = Vocabulary.from_file(path, unk="<unk>")

    assert vocab.tokens == ("<pad>", "<unk>", "the", "cat")
    assert vocab.counts is None


def test_a_path_may_be_a_str(write):
    path = write(b"the\n")

    assert tokens(str(path)) == tokens(path) == ("the",)


def test_only_line_feeds_end_a_line_and_nothing_is_trimmed(write):
    expected = (
        "\xa0",
        "\x85",
        "\u2028",
        " a b ",
        "\t",
        "\x0c",
        "\x1c",
        "x\ry",
        "0",
    )

    path = write("\n".join(expected).encode())

    assert tokens(path) == expected


def test_one_carriage_return_goes_with_each_line_end(write):
    assert tokens(write(b"the\r\ncat\r\r\nsat\r\n")) == ("the", "cat\r", "sat")
    assert tokens(write(b"the\r\ncat\r")) == ("the", "cat")
    assert tokens(write(b"the\ncat\r\r")) == ("the", "cat\r")


def test_the_last_line_needs_no_line_feed(write):
    assert tokens(write(b"the\ncat")) == ("the", "cat")


def test_a_byte_order_mark_goes_at_the_start_of_the_file_alone(write):
    bom = b"\xef\xbb\xbf"

    path = write(bom + bom + b"the\n" + bom + b"cat\n")

    assert tokens(path) == ("\ufeffthe", "\ufeffcat")


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"\nthe\n", 1), (b"the\n\ncat\n", 2), (b"a\nb\n\n", 3), (b"a\n\r", 2)],
)
def test_an_empty_line_is_named(write, content, line):
    with pytest.raises(VocabularyError, match=f"vocab.txt:{line}: no token"):
        tokens(write(content))


def test_a_repeated_token_is_named_with_both_lines(write):
    path = write(b"the\ncat\nsat\ncat\n")

    with pytest.raises(VocabularyError, match=r"vocab.txt:4: .*'cat'.*in line 2"):
        tokens(path)


def test_bytes_that_are_not_utf8_are_named_with_their_line(write):
    path = write(b"\xef\xbb\xbfthe\ncaf\xe9\nsat\n")

    with pytest.raises(VocabularyError, match=r"vocab.txt:2: bytes b'\\xe9'"):
        tokens(path)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(write, content):
    with pytest.raises(VocabularyError, match=r"vocab.txt: the vocabulary is empty"):
        tokens(write(content))


@settings(deadline=None)  # files take their time
@given(st.lists(lines, unique=True, min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_line_by_line_is_read_back(scratch, expected, end):
    path = scratch / "vocab.txt"
    mark = b"\xef\xbb\xbf"  # or the first token could look like one, or like a zip
    path.write_bytes(mark + "".join(token + end for token in expected).encode())

    assert tokens(path, kind="text") == tuple(expected)


@settings(deadline=None)  # files take their time
@given(st.lists(st.sampled_from(pieces) | st.binary(max_size=3)).map(b"".join))
def test_bytes_of_any_kind_are_read_or_refused_with_our_error(scratch, raw):
    path = scratch / "any"
    path.write_bytes(raw)

    with suppress(VocabularyError):
        assert list(Vocabulary.from_file(path, pad=None))


def test_a_first_line_with_a_count_makes_it_a_file_of_counts(write):
    vocab = Vocabulary.from_file(write(b"the\t10\ncat\t3\n"), unk="<unk>")

    assert vocab.tokens == ("<pad>", "<unk>", "the", "cat")
    assert vocab.counts.tolist() == [0, 0, 10, 3]


def test_the_order_is_the_file_s(write):
    assert tokens(write(b"cat\t3\nthe\t10\n")) == ("cat", "the")


def test_the_last_tab_parts_token_and_count(write):
    assert tokens(write(b"a\tb\t1\r\n \t2\n")) == ("a\tb", " ")


@pytest.mark.parametrize("first", ["the\t1.5", "the 1", "\t1", "the\t", "the\t١"])
def test_a_first_line_without_a_count_makes_it_text(write, first):
    path = write(f"{first}\ncat\t3\n".encode())

    assert tokens(path) == (first, "cat\t3")


@pytest.mark.parametrize(
    "bad", ["cat", "cat\t-1", "cat 3", "\t3", "cat\t" + "9" * 19, ""]
)
def test_a_later_line_without_a_count_is_named(write, bad):
    path = write(f"the\t10\n{bad}\nsat\t1\n".encode())

    with pytest.raises(VocabularyError, match=r'vocab.txt:2: .*kind="text"'):
        tokens(path)


def test_kind_text_takes_counts_as_part_of_the_token(write):
    path = write(b"the\t10\ncat\n")

    assert tokens(path, kind="text") == ("the\t10", "cat")


def test_kind_counts_wants_counts_from_the_first_line_on(write):
    path = write(b"the\ncat\t3\n")

    with pytest.raises(VocabularyError, match=r"vocab.txt:1: expected TOKEN<TAB>"):
        tokens(path, kind="counts")


def test_a_repeated_token_of_a_file_of_counts_is_named_with_both_lines(write):
    path = write(b"the\t10\ncat\t3\nthe\t1\n")

    with pytest.raises(VocabularyError, match=r"vocab.txt:3: .*'the'.*in line 1"):
        tokens(path)


@settings(deadline=None)  # files take their time
@given(
    st.dictionaries(lines, st.integers(min_value=0, max_value=10**18 - 1)).filter(len)
)
def test_tokens_and_counts_written_line_by_line_are_read_back(scratch, counts):
    path = scratch / "counts.txt"
    content = "".join(f"{token}\t{count}\n" for token, count in counts.items())
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())

    vocab = Vocabulary.from_file(path, kind="counts", pad=None)

    assert dict(zip(vocab.tokens, vocab.counts.tolist(), strict=True)) == counts


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(VocabularyError, match=r"none.txt cannot be read") as caught:
        tokens(tmp_path / "none.txt")

    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_directory_is_named(tmp_path):
    with pytest.raises(VocabularyError, match=r"a directory without tokenizer\.json"):
        tokens(tmp_path)
    with pytest.raises(VocabularyError, match="it is a directory"):
        tokens(tmp_path, kind="text")


def test_a_link_that_leads_to_itself_cannot_be_read(tmp_path):
    path = tmp_path / "loop"
    path.symlink_to(path)

    with pytest.raises(VocabularyError, match="loop cannot be read") as caught:
        tokens(path)

    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_pipe_nobody_writes_to_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PATIENCE", 0.01)
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(VocabularyError, match=r"pipe cannot be read: .* nobody wrote"):
        tokens(tmp_path / "pipe")


def test_a_name_no_file_can_have_is_refused():
    with pytest.raises(VocabularyError, match="cannot be read"):
        tokens("a\0b")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_named(write, protocol):
    path = write(pickle.dumps(["the"], protocol), "vocab.json")

    with pytest.raises(VocabularyError, match="is a pickle"):
        tokens(path)


def test_a_zip_archive_is_named(tmp_path):
    for content in ({"vocab.txt": "the\n"}, {}):
        with zipfile.ZipFile(tmp_path / "vocab.zip", "w") as archive:
            for name, text in content.items():
                archive.writestr(name, text)

        with pytest.raises(VocabularyError, match="zip archive, not a vocabulary"):
            tokens(tmp_path / "vocab.zip")


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"\x1f\x8b\x08", "gzip"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\x28\xb5\x2f\xfd", "Zstandard"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x93NUMPY", "NumPy"),
        ("\ufeffthe\n".encode("utf-16-le"), "UTF-16"),
        ("\ufeffthe\n".encode("utf-16-be"), "UTF-16"),
        (b"\x02\0\0\0\0\0\0\0{}", "safetensors"),
    ],
)
@pytest.mark.parametrize("kind", [None, "text"])
def test_another_kind_of_file_is_named_by_its_first_bytes(write, start, what, kind):
    with pytest.raises(VocabularyError, match=f"{what}.*, not a vocabulary"):
        tokens(write(start), kind=kind)


def test_a_kind_we_do_not_know_is_an_option_error(write):
    with pytest.raises(OptionError, match="kind is 'csv'; it can be text, counts"):
        tokens(write(b"the\n"), kind="csv")
