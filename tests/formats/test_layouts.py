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

import pytest
from layouts import (
    FAULTS,
    HEADERS,
    SEPARATORS,
    STYLES,
    TOKENS,
    Layout,
    faulty,
    outcome,
    sound,
)

from pretrained_embed.formats.findings import CODES

FULL = os.environ.get("PRETRAINED_EMBED_GRID") == "full"
ROWS, DIMS = (1, 2, 3, 5, 12, 100, 1000), (1, 2, 3, 5, 50, 300)
MOST_NUMBERS, SAMPLE = 2000, 1200

#: Kinds of tokens that end in a number after a blank.
IN_NUMBERS = ("ends-in-integer", "ends-in-decimal", "thousands")
#: Kinds that stand before a fault: the others hide some. These, and the separators,
#: take turns.
BEFORE_FAULTS = ("word", "other-script", "two-words", "uri", "integer", "label")

#: What tells of a file that is not read as it was meant: what no reader could know...
UNKNOWABLE = [code for code in CODES if code.startswith("assumed.")]
#: ... and what the file holds no more of: numbers of columns that may be a row's, rows
#: of one number, of which two integers, or a blank in front, are sound ones, and a
#: comma in one row.
TOLD = [
    "text.comma-tokens",
    *("text.column-numbers", "header.tokens-end-in-numbers", "text.surplus-number"),
    *("text.dim-1", "text.counts"),
]


def combinations(*axes: object) -> list[tuple]:
    """Return all combinations of layouts that are small enough."""
    shapes = [(n, d) for n, d in product(ROWS, DIMS) if n * d <= MOST_NUMBERS]
    return list(product(shapes, HEADERS, STYLES, *axes))


def chosen(every: list) -> list:
    """Return all files, or some of them, spread over all."""
    return every if FULL else Random(15).sample(every, SAMPLE)


def telling(codes: list[str]) -> str:
    """Return the code that tells why a file is not read as it was meant."""
    return next((c for c in [*UNKNOWABLE, *TOLD] if c in codes), codes[0])


def kinds_of_sound() -> Counter[tuple[str, str, str]]:
    """Return the kinds of sound files that are not read right, and their numbers."""
    kinds: Counter[tuple[str, str, str]] = Counter()
    every = combinations(SEPARATORS, TOKENS)
    for (rows, dim), header, style, separator, kind in chosen(every):
        result, codes = outcome(
            sound(Layout(rows, dim, header, style, kind, 1, separator))
        )
        if result != "right":
            kinds[result, kind, telling(codes)] += 1
    return kinds


def kinds_of_faulty() -> Counter[tuple[str, str]]:
    """Return the kinds of faulty files that are read wrong, and their numbers."""
    kinds: Counter[tuple[str, str]] = Counter()
    every = combinations(FAULTS)
    for number in chosen(range(len(every))):
        (rows, dim), header, style, fault = every[number]
        turn = number // len(FAULTS)
        kind = BEFORE_FAULTS[turn % len(BEFORE_FAULTS)]
        separator = list(SEPARATORS)[turn // len(BEFORE_FAULTS) % len(SEPARATORS)]
        layout = Layout(rows, dim, header, style, kind, 1, separator, fault)
        result, codes = outcome(faulty(layout))
        assert result != "wrong" or codes, layout
        if result == "wrong":
            kinds[fault, telling(codes)] += 1
        elif fault in TELLS and result == "right":
            assert TELLS[fault] in codes, layout
    return kinds


#: Faults that are read right, and the note that has to tell of them.
TELLS = {"quoted-tokens": "text.quoted-tokens", "in-base64": "text.base64-tokens"}

# Of each kind, how many files there are in the sample, and in all

SOUND_KINDS: dict[tuple[str, str, str], tuple[int, int]] = {
    ("error", "comma", "text.separator"): (42, 1408),
    ("error", "ends-in-decimal", "header.not-borne-out"): (14, 280),
    ("error", "ends-in-decimal", "text.separator"): (0, 18),
    ("error", "ends-in-integer", "header.not-borne-out"): (0, 24),
    ("error", "ends-in-integer", "text.separator"): (1, 18),
    ("error", "integer", "TruncatedError"): (0, 2),
    ("error", "integer", "text.no-tokens"): (0, 2),
    ("error", "thousands", "header.not-borne-out"): (0, 4),
    ("error", "thousands", "header.three-integers"): (1, 5),
    ("error", "thousands", "text.no-tokens"): (1, 20),
    ("wrong", "ends-in-decimal", "assumed.first-number"): (12, 278),
    ("wrong", "ends-in-decimal", "assumed.one-row"): (0, 2),
    ("wrong", "ends-in-integer", "assumed.first-number"): (10, 280),
    ("wrong", "integer", "assumed.first-row-of-two"): (0, 2),
    ("wrong", "thousands", "assumed.first-number"): (7, 210),
    ("wrong", "thousands", "assumed.whole-numbers"): (2, 70),
}

FAULTY_KINDS: dict[tuple[str, str], tuple[int, int]] = {
    ("aligned", "assumed.first-row-of-two"): (2, 14),
    ("aligned", "text.surplus-number"): (1, 37),
    ("alternating", "assumed.first-number"): (1, 4),
    ("colon-after-token", "assumed.one-row"): (1, 40),
    ("colon-after-token", "text.comma-tokens"): (3, 40),
    ("columns-from-0", "assumed.first-row-of-two"): (9, 57),
    ("columns-from-0", "text.column-numbers"): (14, 247),
    ("columns-from-1", "assumed.first-row-of-two"): (3, 57),
    ("columns-from-1", "text.column-numbers"): (10, 247),
    ("comma-after-token", "assumed.one-row"): (4, 40),
    ("comma-after-token", "text.comma-tokens"): (0, 40),
    ("dim-1-less", "assumed.first-row-of-two"): (4, 36),
    ("dim-1-more", "assumed.first-row-of-two"): (2, 28),
    ("header-again", "assumed.first-row-of-two"): (1, 40),
    ("header-again", "text.column-numbers"): (0, 1),
    ("header-again", "text.counts"): (0, 1),
    ("header-again", "text.dim-1"): (0, 6),
    ("no-tokens", "assumed.first-row-of-two"): (0, 1),
    ("no-tokens", "assumed.numbers-are-tokens"): (1, 15),
    ("no-tokens", "assumed.one-row"): (2, 18),
    ("no-tokens", "assumed.whole-numbers"): (1, 55),
    ("semicolon-before-tab", "assumed.one-row"): (2, 48),
    ("semicolon-before-tab", "text.comma-tokens"): (2, 48),
    ("short-row", "assumed.first-row-of-two"): (0, 4),
    ("short-row", "assumed.one-row"): (3, 40),
    ("short-row", "assumed.surplus-in-token"): (0, 22),
}


def test_sound_files_are_read_right_to_the_bit():
    kinds = kinds_of_sound()

    assert kinds == {kind: n[FULL] for kind, n in SOUND_KINDS.items() if n[FULL]}
    assert all(code in UNKNOWABLE for result, _, code in kinds if result == "wrong")


def test_faulty_files_are_read_right_or_refused():
    kinds = kinds_of_faulty()

    assert kinds == {kind: n[FULL] for kind, n in FAULTY_KINDS.items() if n[FULL]}
    assert all(code in [*UNKNOWABLE, *TOLD] for _, code in kinds)


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("kind", IN_NUMBERS)
def test_some_tokens_that_end_in_numbers_change_no_dim(kind, separator):
    for header, style, every in product(HEADERS, STYLES, (3, 4)):
        layout = Layout(48, 5, header, style, kind, every, separator)
        result, codes = outcome(sound(layout))

        assert result == "right", (layout, codes)
        if separator == "space":
            assert "text.surplus-number" in codes


# Styles of the world, each with a header and without, between spaces and tabs

WORLD = {
    "glove-840b": [". . .", "at name@domain.com", "the", ".", "\u00a0", "1 / 2x"],
    "glove-twitter": ["<user>", "\u0085", "rt", "…", "\u2028a"],
    "fasttext": ["</s>", ",", "the", "\u00a0", "é"],
    "numberbatch": ["/c/en/coffee_pot", "/c/fr/#####ème", "/c/en/a"],
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
}


@pytest.mark.parametrize("separator", ["space", "tab"])
@pytest.mark.parametrize("header", ["none", "count-dim"])
@pytest.mark.parametrize("world", WORLD)
def test_files_of_the_world_stay_right(world, header, separator):
    between, before = SEPARATORS[separator]
    for (name, values), dim, end in product(
        NUMBERS.items(), (1, 2, 4), ("\n", " \n", "\r\n")
    ):
        tokens = WORLD[world]
        rows = [(values[i % 4 :] + values[: i % 4])[:dim] for i in range(len(tokens))]
        if end != "\n" and separator == "tab":
            end = "\t" + end.strip(" ")
        lines = [
            f"{t}{before}{between.join(r)}{end}"
            for t, r in zip(tokens, rows, strict=True)
        ]
        text = HEADERS[header](len(tokens), dim) + "".join(lines)
        layout = Layout(len(tokens), dim, header, name, world, 1, separator)
        made = sound(layout._replace(kind="word", style="fixed"))._replace(
            layout=layout, raw=text.encode(), tokens=tokens, vectors=_read(rows)
        )

        result, codes = outcome(made)

        whole = world == "node2vec" and name in ("integers", "one-hot")
        if result != "right" and header == "none" and whole and dim < 3:
            # a first row of two or three integers: nobody knows
            told = {"assumed.first-row-of-two", "assumed.first-row-of-three"}
            assert result == "error" or told & set(codes), (layout, text, codes)
            continue
        assert result == "right", (layout, text, codes)


def _read(rows: list[list[str]]):
    import numpy as np

    with np.errstate(over="ignore"):
        return np.array([[float(n) for n in row] for row in rows], np.float32)


def test_every_code_stands_in_the_readme():
    readme = Path(__file__).parents[2].joinpath("README.md").read_text("utf-8")

    for code, meaning in CODES.items():
        assert f"| `{code}` | {meaning} |" in readme
