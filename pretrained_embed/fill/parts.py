"""The policy "parts": the mean of the source's tokens in a token.

A token is split from left to right: at each character the longest token of the source
is taken, as in WordPiece (Wu et al., arXiv:1609.08144, 2016); a character at which none
begins is skipped. The weight of a part is its number of characters.

Memory does not grow with the source: one pass finds which character runs are tokens, a
second one reads the vectors of the chosen parts.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Sequence
from itertools import chain

import numpy as np

from pretrained_embed.arrays import Float32Array
from pretrained_embed.fill.source import Lookup, Spelled

#: The least size of a part in UTF-8 bytes: three Latin letters, two Cyrillic ones, one
#: Chinese character. Shorter tokens are seldom parts of words.
SHORTEST = 3

#: The longest token that is split, in characters. A longer one is no word, and the
#: number of its character runs grows with the square.
LONGEST = 128

#: How many character runs are looked up in one pass.
_RUNS = 1 << 19


def average_parts(tokens: Sequence[str], lookup: Lookup) -> Spelled:
    """Yield the vectors of the tokens that have parts."""
    for start, spelled in _blocks(tokens, lookup):
        known = _known(set(chain.from_iterable(map(runs, chain(*spelled)))), lookup)
        taken = {
            place: parts
            for place, spellings in enumerate(spelled, start)
            if (parts := _best(spellings, known))
        }
        if taken:
            yield np.array(list(taken), np.int64), _average(taken.values(), lookup)


def runs(token: str) -> Iterator[str]:
    """Yield every character run that could be a part of a token."""
    if len(token) <= LONGEST:
        for begin in range(len(token)):
            for end in range(begin + 1, len(token) + 1):
                if _long_enough(run := token[begin:end]):
                    yield run


def longest_parts(token: str, known: Container[str]) -> list[str]:
    """Return the parts of a token, from left to right, by greedy longest match.

    >>> longest_parts("snowmobiles", {"snow", "snowm", "mobile", "biles", "les"})
    ['snowm', 'biles']
    """
    parts: list[str] = []
    begin = 0
    while begin < len(token) <= LONGEST:
        for end in range(len(token), begin, -1):
            run = token[begin:end]
            if run in known and _long_enough(run):
                parts.append(run)
                begin = end
                break
        else:
            begin += 1
    return parts


def _long_enough(run: str) -> bool:
    """Return whether a character run may be a part."""
    return len(run) >= SHORTEST or len(run.encode("utf-8", "replace")) >= SHORTEST


def _best(spellings: Sequence[str], known: Container[str]) -> list[str]:
    """Return the parts of the spelling that they cover most, the first of equals."""
    found = [longest_parts(spelling, known) for spelling in spellings]
    return max(found, key=lambda parts: sum(map(len, parts)), default=[])


def _blocks(
    tokens: Sequence[str], lookup: Lookup
) -> Iterator[tuple[int, list[Sequence[str]]]]:
    """Yield the spellings of the tokens for one pass, with their first row."""
    block: list[Sequence[str]] = []
    count = 0
    for place, spellings in enumerate(lookup.spellings(tokens)):
        own = sum(len(each) ** 2 for each in spellings if len(each) <= LONGEST)
        if block and count + own > 2 * _RUNS:
            yield place - len(block), block
            block, count = [], 0
        block.append(spellings)
        count += own
    yield len(tokens) - len(block), block


def _known(wanted: Collection[str], lookup: Lookup) -> set[str]:
    """Return the wanted tokens that the source has."""
    tokens = list(wanted)
    nothing = np.empty((0, lookup.reader.dim), np.float32)  # located, not read
    rows = lookup.select(tokens, nothing).source_rows
    return {tokens[place] for place in np.flatnonzero(rows >= 0).tolist()}


def _average(taken: Collection[list[str]], lookup: Lookup) -> Float32Array:
    """Return the weighted means of parts, summed in binary64 from left to right."""
    distinct = {part: row for row, part in enumerate(dict.fromkeys(chain(*taken)))}
    vectors = np.empty((len(distinct), lookup.reader.dim), np.float32)
    lookup.select(list(distinct), vectors)
    means = np.empty((len(taken), lookup.reader.dim), np.float32)
    for row, parts in enumerate(taken):
        weights = np.array([[len(part)] for part in parts], np.float64)
        weighted = weights * vectors[[distinct[part] for part in parts]]
        means[row] = np.add.accumulate(weighted)[-1] / weights.sum()
    return means
