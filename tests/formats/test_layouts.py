"""Made files of every layout: sound ones are right, faulty ones are right or refused.

What is wrong all the same is a kind that no reader could know, and a note says so. The
kinds are named here, each with how many files of it there are at least, so that none
can grow unseen. ``PRETRAINED_EMBED_GRID=full`` tries all files; a sample, always the
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
    Made,
    faulty,
    outcome,
    sound,
)

from pretrained_embed.formats.findings import CODES

FULL = os.environ.get("PRETRAINED_EMBED_GRID") == "full"
ROWS, DIMS = (1, 2, 3, 5, 12, 100, 1000), (1, 2, 3, 5, 50, 300)
MOST_NUMBERS = 40_000 if FULL else 600
SOUND, FAULTY = 1000, 1000

#: Kinds of tokens that end in a number after a blank.
IN_NUMBERS = ("ends-in-integer", "ends-in-decimal", "thousands")
#: Kinds that stand before a fault: the others hide some.
BEFORE_FAULTS = ("word", "other-script", "two-words", "uri", "integer", "label")


def chosen(files: int, *axes: object) -> list[tuple]:
    """Return all combinations that are small enough, or some, spread over all."""
    every = [
        combination
        for combination in product(ROWS, DIMS, HEADERS, STYLES, *axes)
        if combination[0] * combination[1] <= MOST_NUMBERS
    ]
    return every if FULL else Random(15).sample(every, files)


def kind_of_sound(made: Made, codes: list[str]) -> str:
    """Return the kind of a sound file that is not read right."""
    layout = made.layout
    tab = layout.separator != "space"
    if layout.header in ("none", "count") and layout.kind in IN_NUMBERS:
        if "assumed.first-number" in codes or "assumed.whole-numbers" in codes:
            return "(i) every token ends in a number"
        if tab and "text.separator" in codes:
            return "refused: tokens end in a number before a tab"
    if layout.header == "none" and "assumed.first-row-of-two" in codes:
        return "(iv) the first row is two integers"
    if layout.header != "none" and layout.kind in IN_NUMBERS:
        if codes == ["header.not-borne-out"]:
            return "refused: every token ends in a number, against the header"
        if codes == ["header.count-differs"] and (layout.rows, layout.dim) == (2, 1):
            return "two rows of one number: 'dim count' is taken for 'count dim'"
    if layout.dim == 1 and layout.kind == "comma" and codes == ["text.separator"]:
        return "refused: one number behind a comma"
    if layout.kind == "integer" and codes[0] in (
        "header.not-borne-out",
        "TruncatedError",
        "text.no-tokens",
        "header.three-integers",
    ):
        return "refused: integers in line 1 look like a header"
    if layout.kind == "thousands" and codes[0] == "header.three-integers":
        return "refused: integers in line 1 look like a header"
    return f"{layout}: {codes}"


SOUND_KINDS = {
    "(i) every token ends in a number": 15,
    "(iv) the first row is two integers": 0,
    "refused: tokens end in a number before a tab": 0,
    "refused: every token ends in a number, against the header": 5,
    "two rows of one number: 'dim count' is taken for 'count dim'": 0,
    "refused: one number behind a comma": 3,
    "refused: integers in line 1 look like a header": 0,
}


def test_sound_files_are_read_right_to_the_bit():
    kinds: Counter[str] = Counter()
    right = 0
    for rows, dim, header, style, kind, separator in chosen(SOUND, TOKENS, SEPARATORS):
        made = sound(Layout(rows, dim, header, style, kind, 1, separator))
        result, codes = outcome(made)
        right += result == "right"
        if result != "right":
            kinds[kind_of_sound(made, codes)] += 1

    assert set(kinds) <= set(SOUND_KINDS)
    assert all(kinds[kind] >= least for kind, least in SOUND_KINDS.items())
    assert right > 0.85 * (right + kinds.total())


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("kind", IN_NUMBERS)
def test_some_tokens_that_end_in_numbers_change_no_dim(kind, separator):
    for header, style, every in product(HEADERS, STYLES, (3, 4)):
        layout = Layout(48, 5, header, style, kind, every, separator)
        result, codes = outcome(sound(layout))

        assert result == "right", (layout, codes)
        if separator == "space":
            assert "text.surplus-number" in codes


#: What tells of a fault that is not refused: the file holds nothing else to tell by.
TOLD = {
    "aligned": ("text.surplus-number",),
    "alternating": ("assumed.one-row",),
    "columns-from-0": ("text.column-numbers", "header.tokens-end-in-numbers"),
    "columns-from-1": ("text.column-numbers",),
    "no-tokens": ("assumed.numbers-are-tokens",),
    "dim-1-less": ("assumed.first-row-of-two",),
    "dim-1-more": ("assumed.first-row-of-two",),
    "header-again": ("assumed.first-row-of-two", "text.dim-1", "text.counts"),
}
LEAST = {"columns-from-0": 5, "columns-from-1": 5, "no-tokens": 1}


def test_faulty_files_are_read_right_or_refused():
    wrong: Counter[str] = Counter()
    seen: set[str] = set()
    for rows, dim, header, style, kind, separator, fault in chosen(
        FAULTY, BEFORE_FAULTS, SEPARATORS, FAULTS
    ):
        made = faulty(Layout(rows, dim, header, style, kind, 1, separator, fault))
        result, codes = outcome(made)
        seen.add(fault)
        if result == "wrong":
            wrong[fault] += 1
            assert set(TOLD.get(fault, ())) & set(codes), (made.layout, codes)

    assert seen == set(FAULTS)
    assert all(wrong[fault] >= least for fault, least in LEAST.items())


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
