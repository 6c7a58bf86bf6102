"""Made files of every layout: sound ones are right, faulty ones are right or refused.

What comes out otherwise is a kind that no reader could know, and a note says so. The
kinds are named here, each with the number of its files, so that none can grow unseen.
``PRETRAINED_EMBED_GRID=full`` tries all files, in some minutes; a sample, always the
same, is tried without it.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest
from layouts import (
    FAULTS,
    HEADERS,
    SEPARATORS,
    STYLES,
    TOKENS,
    Layout,
    Made,
    ends_in_decimals,
    ends_in_marks,
    faulty,
    may_be_a_row,
    outcome,
    sound,
    unknowable,
)

from pretrained_embed.formats.findings import CODES

FULL = os.environ.get("PRETRAINED_EMBED_GRID") == "full"
ROWS, DIMS = (1, 2, 3, 5, 12, 100, 1000), (1, 2, 3, 5, 50, 300)
MOST_NUMBERS, SAMPLE = 2000, 1200

#: Kinds of tokens that end in a number after a blank.
IN_NUMBERS = ("ends-in-integer", "ends-in-decimal", "thousands")
#: Why a header above one row may be false, or the row's token end in a decimal.
BROKEN = "one row, with more numbers than declared that are not whole"
#: Kinds that stand before a fault: the others hide some. These, and the separators,
#: take turns.
BEFORE_FAULTS = ("word", "other-script", "two-words", "uri", "integer", "label")


def combinations(*axes: object) -> list[tuple]:
    """Return all combinations of layouts that are small enough."""
    shapes = [(n, d) for n, d in product(ROWS, DIMS) if n * d <= MOST_NUMBERS]
    return list(product(shapes, HEADERS, STYLES, *axes))


def chosen(every: list) -> list:
    """Return all files, or some of them, spread over all."""
    return every if FULL else Random(15).sample(every, SAMPLE)


def told(made: Made, codes: list[str], read: list[bytes]) -> str:
    """Return why nobody can know what a file means, which a note has to tell; or ""."""
    excuses = unknowable(made, read)
    found = [item for item, code in excuses.items() if code in codes]
    if "columns" in made.layout.fault and may_be_a_row(made):
        found += ["numbers of columns"] * ("text.column-numbers" in codes)
    return found[0] if found else ""


def kinds_of_sound() -> Counter[tuple[str, str, str]]:
    """Return the kinds of sound files that are not read right, and their numbers."""
    kinds: Counter[tuple[str, str, str]] = Counter()
    every = combinations(SEPARATORS, TOKENS)
    for (rows, dim), header, style, separator, kind in chosen(every):
        made = sound(Layout(rows, dim, header, style, kind, 1, separator))
        result, codes, read = outcome(made)
        if result == "wrong":
            why = told(made, codes, read)
            assert why, (made.layout, codes)
            kinds[result, kind, why] += 1
        elif result == "error":
            why = refused(made)
            assert why, (made.layout, codes)
            kinds[result, kind, why] += 1
    return kinds


def refused(made: Made) -> str:
    """Return why a sound file may be refused: it is as one of another kind; or ""."""
    if ends_in_marks(made):
        return "a mark as separator"
    if made.layout.rows == 1 and ends_in_decimals(made):
        return BROKEN
    return next(iter(unknowable(made, [])), "")


def kinds_of_faulty() -> Counter[tuple[str, str]]:
    """Return the kinds of faulty files that are read wrong, and their numbers."""
    kinds: Counter[tuple[str, str]] = Counter()
    every = combinations(FAULTS)
    for number in chosen(range(len(every))):
        (rows, dim), header, style, fault = every[number]
        turn = number // len(FAULTS)
        kind = BEFORE_FAULTS[turn % len(BEFORE_FAULTS)]
        separator = list(SEPARATORS)[turn // len(BEFORE_FAULTS) % len(SEPARATORS)]
        made = faulty(Layout(rows, dim, header, style, kind, 1, separator, fault))
        result, codes, read = outcome(made)
        if result == "wrong":
            why = told(made, codes, read)
            assert why, (made.layout, codes)
            kinds[fault, why] += 1
        elif fault in TELLS and result == "right":
            assert TELLS[fault] in codes, made.layout
    return kinds


#: Faults that are read right, and the note that has to tell of them.
TELLS = {"quoted-tokens": "text.quoted-tokens", "in-base64": "text.base64-tokens"}

# Of each kind, how many files there are in the sample, and in all. What is wrong is of
# the closed list of `unknowable`, or numbers of columns that may be a row.

SOUND_KINDS: dict[tuple[str, str, str], tuple[int, int]] = {
    ("error", "comma", "a mark as separator"): (49, 1680),
    ("error", "ends-in-decimal", "(i)"): (0, 18),
    ("error", "ends-in-decimal", BROKEN): (0, 15),
    ("error", "ends-in-integer", "(i)"): (1, 18),
    ("error", "integer", "(iv)"): (0, 4),
    ("error", "integer", "(v)"): (0, 1),
    ("error", "thousands", "(v)"): (0, 1),
    ("wrong", "ends-in-decimal", "(i)"): (12, 278),
    ("wrong", "ends-in-decimal", "(vi)"): (0, 2),
    ("wrong", "ends-in-integer", "(i)"): (10, 280),
    ("wrong", "integer", "(iv)"): (0, 2),
    ("wrong", "thousands", "(i)"): (7, 210),
    ("wrong", "thousands", "(iii)"): (2, 66),
    ("wrong", "thousands", "(v)"): (0, 4),
}

FAULTY_KINDS: dict[tuple[str, str], tuple[int, int]] = {
    ("alternating", "(i)"): (1, 4),
    ("columns-from-0", "(iv)"): (9, 56),
    ("columns-from-0", "numbers of columns"): (14, 248),
    ("columns-from-1", "(iv)"): (3, 56),
    ("columns-from-1", "numbers of columns"): (10, 248),
    ("dim-1-less", "(iv)"): (4, 36),
    ("dim-1-more", "(iv)"): (2, 28),
    ("no-tokens", "(iii)"): (1, 55),
    ("no-tokens", "(iv)"): (0, 1),
    ("no-tokens", "(vi)"): (2, 18),
    ("no-tokens", "(vii)"): (1, 15),
    ("short-row", "(ii)"): (0, 22),
    ("short-row", "(iv)"): (0, 4),
    ("short-row", "(vi)"): (3, 40),
}


def test_sound_files_are_read_right_to_the_bit():
    kinds = kinds_of_sound()

    assert kinds == {kind: n[FULL] for kind, n in SOUND_KINDS.items() if n[FULL]}


def test_faulty_files_are_read_right_or_refused():
    kinds = kinds_of_faulty()

    assert kinds == {kind: n[FULL] for kind, n in FAULTY_KINDS.items() if n[FULL]}


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("kind", IN_NUMBERS)
def test_some_tokens_that_end_in_numbers_change_no_dim(kind, separator):
    for header, style, every in product(HEADERS, STYLES, (3, 4)):
        layout = Layout(48, 5, header, style, kind, every, separator)
        result, codes, _ = outcome(sound(layout))

        assert result == "right", (layout, codes)
        if separator == "space":
            assert "text.surplus-number" in codes


# Styles of the world, each with a header and without, between spaces and tabs

WORLD = {
    "glove-840b": [". . .", "at name@domain.com", "the", ".", "\u00a0", "1 / 2x"],
    "glove-twitter": ["<user>", "\u0085", "rt", "…", "\u2028a"],
    "fasttext": ["</s>", ",", "the", "\u00a0", "é"],
    "numberbatch": ["/c/en/coffee_pot", "/c/fr/#####ème", "/c/en/a"],
    "word2vec-c": ["</s>", "the", "New_York", "1,000", "a.b"],
    "node2vec": ["34", "1", "33", "10"],
    "wikipedia2vec": ["ENTITY/New York", "10 000x", "the"],
    "starspace": ["the", "__label__x", "of"],
    "chinese-word-vectors": ["，", "的", "\u3000", "第一"],
    "quotes": ['"', "''", "``", '""', '"a"'],
    "words-that-are-numbers": ["nan", "inf", "1e5", ".5", "the"],
}
NUMBERS = {
    "decimals": ["0.418", "-0.24968", "3.6e-05", "1"],
    "integers": ["3", "-1", "0", "7"],
    "one-hot": ["0", "0", "1", "0"],
    "not-finite": ["inf", "-nan", "1e400", "0.5"],
    "arange": [],
}
#: How lines end, how many rows there are at most, and by how many the header is wrong.
VARIANTS = [
    *(("\n", 9, 0), (" \n", 9, 0), ("\r\n", 9, 0)),
    *(("\n", 1, 0), ("\n", 9, 1), ("\n", 9, -1)),
]


def rows_of(values: list[str], count: int, dim: int) -> list[list[str]]:
    """Return the numbers of some rows: those given in turn, or else 0, 1, 2, ..."""
    if not values:
        return [[str(i * dim + j) for j in range(dim)] for i in range(count)]
    turned = [values[i % 4 :] + values[: i % 4] for i in range(count)]
    return [(row * dim)[:dim] for row in turned]


@pytest.mark.parametrize("separator", ["space", "tab"])
@pytest.mark.parametrize("header", ["none", "count-dim"])
@pytest.mark.parametrize("world", WORLD)
def test_files_of_the_world_stay_right(world, header, separator):
    between, before = SEPARATORS[separator]
    for (name, values), dim, (end, most, off) in product(
        NUMBERS.items(), (1, 2, 4), VARIANTS
    ):
        if off and (header == "none" or world == "node2vec"):
            continue  # tokens that are numbers may be the vectors' under such a header
        tokens = WORLD[world][:most]
        rows = rows_of(values, len(tokens), dim)
        if end == " \n" and separator == "tab":
            end = "\t\n"
        lines = [
            f"{t}{before}{between.join(r)}{end}"
            for t, r in zip(tokens, rows, strict=True)
        ]
        text = HEADERS[header](len(tokens) + off, dim) + "".join(lines)
        layout = Layout(len(tokens), dim, header, name, world, 1, separator)
        with np.errstate(over="ignore"):
            vectors = np.array([[float(n) for n in row] for row in rows], np.float32)
        made = Made(layout, text.encode(), tokens, vectors)

        result, codes, read = outcome(made)

        if result != "right" and unknowable(made, read):
            expected = {*unknowable(made, read).values()}
            assert result == "error" or expected & {*codes}, (layout, text, codes)
            assert dim < 3, (layout, text, codes)
            continue
        assert result == "right", (layout, text, codes)
        if off:
            assert {"header.count-differs"} <= {*codes}, (layout, text, codes)


def test_every_code_stands_in_the_documentation():
    page = Path(__file__).parents[2].joinpath("docs/reference/errors.md")
    text = page.read_text("utf-8")

    for code, meaning in CODES.items():
        assert f"| `{code}` | {meaning} |" in text
