"""Files as people write them by hand, or with tools that do not mean vectors.

Each is read as its writer meant it, or refused with the true cause. What an error says
can be done is carried out here: it gives the rows that were meant, or those that the
user said are meant.
"""

from __future__ import annotations

import contextlib
import io
import re
from itertools import product

import numpy as np
import pytest
from layouts import FAULTS, SEPARATORS, Layout, faulty

from pretrained_embed.errors import PretrainedEmbedError
from pretrained_embed.formats import open_reader
from pretrained_embed.formats.causes import cause_of_row
from pretrained_embed.sources.stream import Stream

WORDS = [
    *("the", "of", "and", "to", "in", "for", "that", "is", "on", "by", "with", "he"),
    *("as", "it", "at", "a", "was", "are", "from", "or"),
]


def numbers(dim: int) -> list[list[str]]:
    """Return made numbers of all words, with a sign or none, and four places."""
    return [
        [f"{((7 * i + 13 * j) % 41 - 20) / 41 + 0.003:.4f}" for j in range(dim)]
        for i in range(len(WORDS))
    ]


def written(line: str, dim: int, between: str = " ", head: str = "") -> str:
    """Return a file with a line for each word: ``i``, ``word``, ``row`` are named."""
    rows = numbers(dim)
    lines = [
        line.format(i=i, word=word, row=between.join(row), first=row[0], rest=row[-1])
        for i, (word, row) in enumerate(zip(WORDS, rows, strict=True))
    ]
    return head.format(n=len(WORDS), d=dim) + "\n".join(lines) + "\n"


def read(text: str, layout: str | None = None):
    """Return tokens, vectors and codes of what was found."""
    raw = text.encode()
    with open_reader(Stream("f", lambda: io.BytesIO(raw), size=len(raw)), layout) as it:
        blocks = list(it.packed_blocks())
    tokens = [t.decode() for block in blocks for t in block.tokens.split()]
    return tokens, np.concatenate([b.vectors for b in blocks]), [*it.findings.codes]


def refused(text: str) -> tuple[str | None, str]:
    """Return code and message of the error for a file."""
    with pytest.raises(PretrainedEmbedError) as caught:
        read(text)
    return caught.value.code, str(caught.value)


def is_meant(text: str, dim: int, layout: str | None = None) -> bool:
    """Whether a file is read as its writer meant it."""
    tokens, vectors, _ = read(text, layout)
    same = vectors.tolist() == np.array(numbers(dim), np.float32).tolist()
    return tokens == WORDS and same


DIMS = pytest.mark.parametrize("dim", [1, 2, 3, 6])
HEADS = pytest.mark.parametrize("head", ["", "{n} {d}\n"])


@DIMS
@pytest.mark.parametrize(
    "head",
    [
        *("{n},{d}", "{n}, {d}", "({n}, {d})", "[{n} {d}]", "{n}.0 {d}.0", "{n};{d}"),
        *("count={n} dim={d}", "# {n} {d}", "# {n} words of {d}", "+{n} +{d}"),
        *("vocab {n} dim {d}", "words: {n}, size: {d}", "{d} by {n} vectors"),
    ],
)
def test_a_header_in_other_words_is_named(head, dim):
    text = written("{word} {row}", dim, head=head + "\n")

    code, message = refused(text)

    assert code == "header.in-words"
    assert f"Write '{len(WORDS)} {dim}'" in message
    assert "layout='header=yes'" in message
    assert is_meant(text, dim, "header=yes")


@pytest.mark.parametrize("dim", [2, 3, 6])
@pytest.mark.parametrize("head", ["{n}x{d}", "{n} x {d}", "dim={d}", "dim {d}"])
def test_other_lines_that_tell_of_the_file_are_named(head, dim):
    text = written("{word} {row}", dim, head=head + "\n")

    _, message = refused(text)

    assert "header" in message or "tells of the file" in message
    assert is_meant(text, dim, "header=yes")


@DIMS
@pytest.mark.parametrize("mark", ["#", "//", "%", ";", "--"])
def test_comments_are_named(mark, dim):
    for text in (
        written("{word} {row}", dim, head=f"{mark} made by hand, 2019\n"),
        written("{word} {row}", dim).replace("and ", f"{mark} a part\nand ", 1),
    ):
        _, message = refused(text)

        assert "comment" in message or (dim == 1 and "count and dim" in message)
    first = written("{word} {row}", dim, head=f"{mark} made in 1.0\n")
    assert is_meant(first, dim, "header=yes")


@DIMS
@HEADS
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{i} {word} {row}", "text.row-numbers"),
        ("{i}. {word} {row}", "text.row-numbers"),
        ("{i}: {word} {row}", "text.row-numbers"),
        ("({i}) {word} {row}".replace("(", ""), "text.row-numbers"),
        ('"{i}" "{word}" {row}', "text.row-numbers"),
        (" {word} {row}", "text.indented"),
        ("\t{word} {row}", "text.indented"),
        ("{i:4} {word} {row}", None),
        ("{word}\tNOUN\t{row}", "text.two-columns"),
        *((f"{{word}} {mark} {{row}}", None) for mark in ("->", "=>", "=", ":", "|")),
        *((f"{{word}} {mark} {{row}}", None) for mark in ("\u2192", "~", "\\", "-")),
        *(
            (f"{{word}}{mark} {{row}}", "text.separator")
            for mark in ("->", "=", "\u2192")
        ),
        *((f"{{word}}{mark} {{row}}", "text.separator") for mark in ",;:|"),
    ],
)
def test_what_is_no_part_of_tokens_is_named(line, code, head, dim):
    tabs = "\t{row}" in line
    text = written(line, dim, "\t" if tabs else " ", head)

    found, message = refused(text)

    assert found == code or code is None
    if found == "text.bad-number":  # marks that may separate numbers as well
        assert "separate the fields" in message
        return
    told = re.search(r"layout='(separator=[^']*)'", message)
    assert told is not None
    tokens, vectors, codes = read(text, told[1])  # it is right as it is, as was said
    assert vectors.tolist() == np.array(numbers(dim), np.float32).tolist()
    assert tokens == [
        line.format(i=i, word=w, row="")[:-1] for i, w in enumerate(WORDS)
    ]
    assert {"text.comma-tokens", found} & {*codes}


@pytest.mark.parametrize("dim", [2, 3, 6])
@HEADS
@pytest.mark.parametrize("mark", [",", ":", "=", ";", "|", "->", "\u00a0", "\v", "\\t"])
def test_what_stands_for_the_first_blank_is_named(mark, head, dim):
    _, message = refused(written("{word}" + mark + "{row}", dim, head=head))

    assert "stands between most tokens and" in message or "the rows have" in message


@pytest.mark.parametrize(
    "token",
    [
        *(":{word}:", "<{word}>", "[{word}]", "{word}::NOUN", "{word}-", "-{word}-"),
        *("http://{word}/", "10.0.0.{i}:80", "{word}=={i}", "no. {i} {word}?"),
        *(
            "__label__{word}",
            "#{word}",
            "{word}!",
            "{word}.",
            "${word}",
            "{i} / {word}",
        ),
    ],
)
@HEADS
def test_tokens_that_have_something_in_common_are_read(token, head):
    text = written(token + " {row}", 4, head=head)

    if token.startswith("{i}"):  # numbers of rows, as far as can be seen
        assert refused(text)[0] == "text.row-numbers"
        return
    tokens, vectors, _ = read(text)

    assert tokens == [token.format(i=i, word=w) for i, w in enumerate(WORDS)]
    assert vectors.tolist() == np.array(numbers(4), np.float32).tolist()


@DIMS
@HEADS
@pytest.mark.parametrize(
    ("line", "code"),
    [
        *((f"{{i}}{mark}{{word}} {{row}}", "text.row-numbers") for mark in ":.)"),
        ("{word} 0.25 -0.5 {word} {row}", "text.numbers-in-tokens"),
        *(
            (f"{mark}{{word}} {{row}}", "text.same-word")
            for mark in ("+", ">", "> ", "en ", "glove.txt:")
        ),
    ],
)
def test_what_programs_put_before_tokens_is_named_or_told(line, code, head, dim):
    text = written(line, dim, head=head)

    if code == "text.same-word":
        assert code in read(text)[2]
        return
    found, message = refused(text)

    assert found == code
    assert "layout='separator=space'" in message


@pytest.mark.parametrize(
    "token", ["{i}:30", "{i}.5.2020", "+{i}x", ">{i}", "{word}.txt:{i}", "1:{word}"]
)
def test_tokens_that_are_like_what_programs_put_there_are_read(token):
    text = written(token + " {row}", 4)

    tokens, vectors, _ = read(text)

    assert tokens == [token.format(i=i, word=w) for i, w in enumerate(WORDS)]
    assert vectors.tolist() == np.array(numbers(4), np.float32).tolist()


REMEDY = re.compile(r"layout='([^']*)'|'((?:header|dim|separator)=[^']*)'")


@pytest.mark.parametrize("fault", FAULTS)
def test_no_remedy_leads_to_another_wrong_layout(fault):
    """What an error says can be passed gives the rows, an error, or what was told."""
    for (rows, dim), header, separator, kind in product(
        [(2, 1), (12, 3)],
        ["none", "count-dim"],
        SEPARATORS,
        ("word", "ends-in-integer"),
    ):
        made = faulty(Layout(rows, dim, header, "fixed", kind, 1, separator, fault))
        text = made.raw.decode()
        try:
            read(text)
            continue
        except PretrainedEmbedError as error:
            message = str(error)
        for sentence in message.split(". "):
            for one, other in REMEDY.findall(sentence):
                try:
                    tokens, vectors, codes = read(text, one or other)
                except PretrainedEmbedError:
                    continue
                if re.search(r"(?i)\bif\b", sentence):  # what was told is so
                    told = re.search(r"dim=(\d+)", one or other)
                    assert told is None or vectors.shape[1] == int(told[1])
                else:
                    same = np.array_equal(vectors, made.vectors)
                    assert (tokens, same) == (made.tokens, True), (made.layout, codes)


def test_words_and_numbers_that_all_tokens_have_are_told():
    assert "text.same-word" in read(written("{word} NOUN {row}", 3))[2]
    some = written("{i}7 {word} street {row}", 3)
    assert "text.row-numbers" in read(some)[2]


@pytest.mark.parametrize("dim", [2, 6])
@pytest.mark.parametrize("every", [2, 3, 5])
def test_rows_of_another_separator_are_bad_rows_unless_they_are_half(every, dim):
    for ours, other in ((" ", "\t"), ("\t", " ")):
        text = "".join(
            (other if i % every == 0 else ours).join([word, *row]) + "\n"
            for i, (word, row) in enumerate(zip(WORDS, numbers(dim), strict=True))
        )
        code, message = refused(text)

        if every == 2:
            assert code == "text.separator"
            assert "skip" not in message
        else:
            assert "line 1: " in message
            assert dim == 1 or "separate its fields, where other rows" in message
        assert is_meant(text.replace("\t", " "), dim)


def test_a_row_of_another_separator_is_named():
    text = written("{word} {row}", 4)
    last = text.splitlines()[-1]

    _, message = refused(text.replace(last, last.replace(" ", "\t")))

    assert "tabs separate its fields, where other rows have spaces" in message


@DIMS
def test_a_header_with_more_behind_it_is_named(dim):
    more = " ".join(["0.1", "2", "7.5", "1", "3", "4"][: dim - 1])
    text = written("{word} {row}", dim, head=f"{{n}} {{d}} {more}".rstrip() + "\n")

    if dim == 1:  # then it is one of two integers alone
        assert is_meant(text, dim)
        return
    code, message = refused(text)

    assert code in ("header.in-words", "header.three-integers")
    assert "header=yes" in message
    assert is_meant(text, dim, "header=yes")


def test_a_class_behind_the_vectors_is_told():
    text = "".join(
        f"{line} {i % 3}\n"
        for i, line in enumerate(written("{word} {row}", 4).splitlines())
    )

    assert "text.last-number" in read(text)[2]
    assert refused(f"{len(WORDS)} 4\n{text}")[0] == "header.not-borne-out"
    assert "text.last-number" not in read(written("{word} {row}", 4))[2]


@pytest.mark.parametrize(
    "text",
    [
        "{word} {first} {first}\n{rest} {rest}",
        "{word}\n{row}",
        "{word}\n{first} {rest}",
        "{word} {first} {first}\n{rest} {rest}\n{rest}",
    ],
)
@HEADS
def test_wrapped_rows_are_named(text, head):
    code, message = refused(written(text, 4, head=head))

    assert code == "text.wrapped-rows"
    assert "on one line" in message


@pytest.mark.parametrize("names", ["the of and to", "d0 d1 d2 d3", "x y z w"])
def test_names_above_numbers_alone_are_no_row(names):
    text = names + "\n" + written("{row}", 4)

    assert refused(text)[0] == "text.no-tokens"


@pytest.mark.parametrize(
    ("write", "cause"),
    [
        ("1,23{}", "commas group the digits"),
        ("0x1.8p{}", "hexadecimal"),
        ("{}%", "percent"),
        ("{}/3", "fractions"),
        ("({}+0j)", "complex"),
        ("1_00{}", "digits in groups"),
        ("\uff11{}", "not ASCII"),
        ("{}-0.5", "nothing stands between"),
        ("x={}", "a name stands before"),
        ("{}d", "a letter stands behind"),
        ("?", "a number is missing"),
        ("#N/A", "a number is missing"),
        ("False", "truth values"),
        ("... {}", r"left out \(\.\.\.\)"),
        ("{}\\t{}", "a backslash and a t"),
        ("{}\u00a0{}", "no-break spaces"),
        ("{}\v{}", "vertical tabs"),
        ("& {}", "ampersands"),
    ],
)
@HEADS
def test_causes_are_named(write, cause, head):
    decimal = "/" not in write and "x1" not in write
    row = " ".join(write.format(n, n) for n in ("1.5" if decimal else "1", "2.25"))
    text = written("{word} " + row.replace("{", "{{"), 2, head=head)

    assert re.search(cause, refused(text)[1])


@HEADS
def test_numbers_before_the_token_are_named(head):
    text = written("{row} {word}", 4, head=head)

    assert "the numbers stand before the token" in refused(text)[1]


@pytest.mark.parametrize(
    "row", ["the 5% 3%", "the 5/3 2/3", "5 7 the", "the x", "the $1", "the 1e 2e"]
)
@pytest.mark.parametrize("head", ["1 2", "1 1", "2 1"])
def test_no_text_is_binary_however_short(row, head):
    with pytest.raises(PretrainedEmbedError) as caught:
        read(f"{head}\n{row}\n")

    assert "offset" not in str(caught.value)


@pytest.mark.parametrize("piece", ["0.12345", "1_1_1", "1,", ",,,;", "a b ", "0.5-0.5"])
def test_no_line_takes_much_longer_than_its_bytes(piece):
    for text in (f"{piece * 4_000} x\n", f"x {piece * 4_000} 0.5 0.25\n" * 3):
        with contextlib.suppress(PretrainedEmbedError):
            read(text)
    assert cause_of_row(piece.encode() * 8 + b" x") != ""


@DIMS
@HEADS
@pytest.mark.parametrize(
    "first",
    ["#", "#hashtag", "# the", "//", "% of", "; and", "--", "6,2", "300d", "20x"],
)
@pytest.mark.parametrize("whole", [False, True])
def test_marks_and_counts_are_tokens_of_line_1(first, head, dim, whole):
    rows = [["1", "-2", "3", "0", "5", "-6"][:dim] for _ in WORDS] if whole else None
    lines = written("{word} {row}", dim).splitlines()
    if rows is not None:
        lines = [f"{word} {' '.join(r)}" for word, r in zip(WORDS, rows, strict=True)]
    lines[0] = lines[0].replace(WORDS[0], first, 1)
    text = head.format(n=len(WORDS), d=dim) + "\n".join(lines) + "\n"

    tokens, vectors, _ = read(text)

    assert tokens == [first, *WORDS[1:]]
    assert vectors.shape == (len(WORDS), dim)


@DIMS
@HEADS
@pytest.mark.parametrize("token", ["{i} days", "{year} election {word}"])
def test_numbers_that_count_are_of_their_tokens_with_a_note(token, head, dim):
    tokens = [
        token.format(i=i, year=1990 + i, word=word) for i, word in enumerate(WORDS)
    ]
    lines = written("{word} {row}", dim).splitlines()
    for i, (word, own) in enumerate(zip(WORDS, tokens, strict=True)):
        lines[i] = own + lines[i][len(word) :]
    text = head.format(n=len(WORDS), d=dim) + "\n".join(lines) + "\n"

    read_tokens, _, codes = read(text)

    assert read_tokens == tokens
    assert "text.row-numbers" in codes


@DIMS
@HEADS
def test_line_ends_the_wrong_way_round_are_named(head, dim):
    text = written("{word} {row}", dim, head=head).replace("\n", "\n\r")

    code, _ = refused(text)

    assert code == "text.line-ends"
    assert is_meant(text.replace("\r", ""), dim)


@pytest.mark.parametrize("dim", [2, 3, 20])
def test_files_joined_without_a_line_end_between_are_told(dim):
    one, two = (written(f"{{word}}{i} {{row}}", dim) for i in range(2))

    assert read(one + two)[2] == []
    assert read(one.rstrip("\n") + two)[2] == ["text.surplus-number"]
    assert "text.odd-token" in read(f"{one}\ufeff{two}")[2]
    assert read(f"\ufeff{one}")[2] == ["text.byte-order-mark"]
