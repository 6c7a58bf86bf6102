"""Files given for a vocabulary by mistake: what they are is said by their beginning."""

import os
import threading

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.files import mistaken

WORDS = ["the", "of", ",", "2.7", "New", "don't", *(f"w{i}" for i in range(300))]


def _lines(form, words=WORDS):
    return "".join(form.format(w=w, i=i) + "\n" for i, w in enumerate(words)).encode()


def _read(tmp_path, data, kind=None):
    path = tmp_path / "file"
    path.write_bytes(data)
    return Vocabulary.from_file(path, kind=kind, pad=None)


VECTORS = {
    "blanks": _lines("{w} 0.25 -1.5 2e-3"),
    "trailing blank": _lines("{w} 0.25 -1.5 "),
    "tabs": _lines("{w}\t0.25\t-1.5\t3"),
    "header": b"306 2\n" + _lines("{w} 0.25 1"),
    "header, whole numbers": b"306 2\n" + _lines("{w} 1 {i}"),
    "header, dim 1": b"306 1\n" + _lines("{w} {i}"),
    "dim count": b"2 306\n" + _lines("{w} 1 2"),
    "one-hot": _lines("{w} 0 0 0 0 1 0 0 0"),
    "CR LF": _lines("{w} 0.25 -1.5\r"),
    "blanks in tokens": _lines("New {w} 0.25 -1.5"),
    "commas": _lines("{w}, 0.25, -1.5"),
    "rows of whole numbers among others": _lines("{w} 2 1\n{w}x 0.5 1"),
    "one long row": b"the" + b" 0.25" * 99 + b"\n",
    "a row longer than the head": b"the" + b" 0.25" * mistaken.HEAD_SIZE,
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_are_told(tmp_path, name):
    with pytest.raises(VocabularyError, match=r"holds vectors: line .*--source.*swap"):
        _read(tmp_path, VECTORS[name])

    assert len(_read(tmp_path, VECTORS[name], kind="text")) == VECTORS[name].count(
        b"\n"
    ) + (not VECTORS[name].endswith(b"\n"))


def test_no_more_than_the_head_of_vectors_is_read(tmp_path):
    path = tmp_path / "glove.txt"
    with path.open("wb") as file:
        file.write(_lines("{w} 0.25 -1.5 3" + " 0.1" * 300))
        file.truncate(1 << 40)  # a hole, which nobody can hold in memory

    with pytest.raises(VocabularyError, match="holds vectors"):
        Vocabulary.from_file(path)


def test_vectors_with_tokens_that_are_no_utf8_are_told(tmp_path):
    data = b"caf\xe9 0.25 1.5\n" + _lines("{w} 0.25 1.5")

    with pytest.raises(VocabularyError, match="holds vectors"):
        _read(tmp_path, data)


def test_of_what_is_no_text_only_the_head_is_read(tmp_path):
    path = tmp_path / "latin1.txt"
    with path.open("wb") as file:
        file.write("naïve\ncafé\n".encode("latin-1"))
        file.truncate(1 << 40)  # a hole, which nobody can hold in memory

    for kind in (None, "text"):
        with pytest.raises(VocabularyError, match=r"latin1\.txt:1: .*not UTF-8"):
            Vocabulary.from_file(path, kind=kind)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PAR1\x15\x04\x15", "do not end as a Parquet file does"),
        (b"ARROW1\0\0", "cannot be read as Arrow IPC"),
        (b"FEA1\0\0\0\0", "a Feather file"),
        (b"BZh91AY&SY\xd9\0", "bzip2.*bzip2 -dc .* --vocab -"),
        (b"\x1f\x8b\x08", "gzip.*gzip -dc .* --vocab -"),
        (b"(lp0\nVthe\np1\na.", "a pickle, .*never run"),
        (b"ccollections\nCounter\np0\n", "a pickle"),
        (b"]q\0(X\x03\0\0\0theq\1e.", "a pickle"),
        (b"SQLite format 3\0", "SQLite.*--source"),
        (b"\xba\x16\x4f\x2f\x0c\0\0\0", "fastText.*--source"),
        (b"\0" * 257 + b"ustar", "a tar archive"),
        (
            b"2 3\nthe \0\0\x80\x3f\0\0\0\0\0\0\0\0of ",
            "binary file of word2vec.*--source",
        ),
        (_lines('"{w}",{i}'), r"columns with commas.*cut -d',' -f1"),
        (b"token;count\n" + _lines("x{i};{i}"), "columns with semicolons"),
        (b"word\tcount\n" + _lines("{w}\t{i}"), r"columns with tabs.*cut -f1"),
        (_lines("{w}\tx\ty"), "columns with tabs"),
        (b"id\tword\n" + _lines("{i}\t{w}"), r"columns with tabs.*cut -f2"),
        (_lines("x{i},y,0.5"), "columns with commas"),
        (b"word,tag\n" + _lines("x{i},NN"), "columns with commas"),
        (_lines("{w} 7{i}"), "TOKEN COUNT with a blank"),
        (_lines("{w} {i}"), r"TOKEN ID with a blank.*cut -d' ' -f1"),
        (_lines("{w} "), "line 1 is 'the ': lines end in blanks.*sed"),
        (_lines("{w}\t"), "lines end in blanks"),
        (b"the 23\nof 9\nNew York 2\n", r"TOKEN COUNT with a blank.*kind=\"counts\""),
        (b"     23 the\n      9 of\n", "COUNT TOKEN, as uniq -c"),
    ],
)
def test_what_else_is_given_is_named_with_a_remedy(tmp_path, data, what):
    with pytest.raises(VocabularyError, match=what):
        _read(tmp_path, data)


def test_the_remedy_for_counts_with_a_blank_reads_them(tmp_path):
    data = b"the 23\nof 9\nNew York 2\n"

    vocab = _read(tmp_path, data, kind="counts")

    assert vocab.tokens == ("the", "of", "New York")
    assert vocab.counts.tolist() == [23, 9, 2]
    with pytest.raises(VocabularyError, match=r":2: expected TOKEN<BLANK>COUNT"):
        _read(tmp_path, b"the 23\nof x\n", kind="counts")


@pytest.mark.parametrize(
    "data",
    [
        _lines("{w}"),
        b"apollo 11\ncatch 22\nnew york\n",
        b"apollo 11\ncatch 22\n",
        b"route 66\n",
        b"route 66\narea 51\n",
        b"in 1999\nin 1998\nof 1998\n",
        b"1 Jan 2020\n2 Feb 2020\n3 Mar 2020\n",
        b"1 2\n3 4\n5 6\n7 8\n",
        b"1,000\n2,000\n3,000\n",
        b"0,5\n1,5\n2,5\n",
        b"&amp;\n&lt;\n&gt;\n",
        b"Paris, Texas\nReno, Nevada\nMiami, Ohio\n",
        *(
            start + b"\nof\n"
            for start in (b"PAR1S", b"BZh", b"GGUF", b"%PDF", b"FEA1", b"FiFu", b"(lp")
        ),
        b"1 2 3\n4 5 6\n7 8 9\n",
        b"1.5\n2.5\n",
        b" \n\t\n,\n;\n",
        b"a,b\nc\n",
        b" the\n of\n",
        "the \u00a0\nof\u3000\n".encode(),
    ],
)
def test_lists_of_tokens_are_left_alone(tmp_path, data):
    assert list(_read(tmp_path, data)) == data.decode().split("\n")[:-1]


def test_other_kinds_are_not_mistaken(tmp_path):
    assert len(_read(tmp_path, b"<unk>\t0\n,\t-1.5\nthe\t-2\n")) == 3
    assert len(_read(tmp_path, b"\xe2\x96\x81the\t-1.5\n,\t-2.5\n")) == 2
    assert len(_read(tmp_path, b"3\n0\tthe\t3\n1\t,\t2\n")) == 2
    assert len(_read(tmp_path, b'[\n "a",\n "b"\n]')) == 2
    assert _read(tmp_path, b'{"a": 0, "b": 1}').ids == {"a": 0, "b": 1}
    assert _read(tmp_path, b"a\t3\nb\t2\n").counts.tolist() == [3, 2]
    assert len(_read(tmp_path, b"2\nthe 9 word\nof 3 word\n")) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_read_as_a_file_is(tmp_path):
    data = _lines("{w}" * 9, [f"word{i}" for i in range(20_000)])
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as file:
            file.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        vocab = Vocabulary.from_file(f"/dev/fd/{reading}", pad=None)
    finally:
        writer.join()
        os.close(reading)

    assert len(data) > 2 * mistaken.HEAD_SIZE
    assert len(vocab) == 20_000
