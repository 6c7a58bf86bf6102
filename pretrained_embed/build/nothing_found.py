"""What to say where a vocabulary and its sources have no token in common."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import islice

from pretrained_embed.build.options import Options
from pretrained_embed.errors import CoverageError, brief
from pretrained_embed.formats import Reader
from pretrained_embed.ledger.coverage import Coverage
from pretrained_embed.lookup.match import chain_names
from pretrained_embed.vocabulary import Vocabulary

#: Tokens of either side that are compared, and that are shown.
_SAMPLE, _SHOWN = 200, 5

_NUMBER = re.compile(r"\d+").fullmatch
_MARKED = re.compile(r"##|\u2581|\u0120|.*(?:@@|</w>)$").match
_SEPARATED = re.compile(r"[\t,;]|\s\S*\d$").search

#: Forms of `match`, what the tokens of a source are that need them, and how to tell.
_FORMS: tuple[tuple[str, str, Callable[[str], object]], ...] = (
    ("conceptnet", "keys of ConceptNet", re.compile(r"/c/[a-z]+/").match),
    ("lower", "in lower case", lambda token: token == token.lower()),
    ("upper", "in upper case", lambda token: token == token.upper()),
)


def nothing_found(
    vocabulary: Vocabulary,
    readers: Sequence[Reader],
    options: Options,
    coverage: Coverage,
) -> CoverageError:
    """Return the error that shows tokens of both sides, with advice that fits them."""
    block = next(iter(readers[0].blocks(on_bad_row=options.on_bad_row)), None)
    theirs = [] if block is None else block.tokens[:_SAMPLE]
    special = set(vocabulary.special_tokens.values())
    ours = list(
        islice((token for token in vocabulary if token not in special), _SAMPLE)
    )
    names = " or ".join(reader.name for reader in readers)
    chain = ",".join(chain_names(options.match))
    composing = next((reader.name for reader in readers if reader.composes), None)
    subword = composing and (
        f"oov='subword' makes vectors of the subword pieces that {composing} has."
    )
    advice = coverage.advice_text() or _advice(ours, theirs, chain)
    return CoverageError(
        f"no token of the vocabulary is in {names}. The vocabulary begins "
        f"{', '.join(map(brief, ours[:_SHOWN]))}; the source begins "
        f"{', '.join(map(brief, theirs[:_SHOWN])) or 'with no row'} (match was "
        f"{chain}). {' '.join(filter(None, (advice, subword)))}".rstrip()
    )


def _advice(ours: list[str], theirs: list[str], chain: str) -> str:
    """Return what two samples of tokens tell that have none in common."""
    if not theirs:
        return "Is it the right file?"
    if all(map(_NUMBER, ours)) and not all(map(_NUMBER, theirs)):
        return (
            "Those of the vocabulary are numbers: give it the tokens, not their ids or "
            "counts."
        )
    if all(map(_NUMBER, theirs)) and not all(map(_NUMBER, ours)):
        return (
            "Those of the source are numbers: it names its rows by ids, so give the "
            "ids as vocabulary, or a file that has the tokens."
        )
    for form, kind, test in _FORMS:
        if _most(theirs, test) and not _most(ours, test) and form not in chain:
            return (
                f"Those of the source are {kind}: match='{chain},{form}' may find them."
            )
    marked = any(map(_MARKED, ours)) and not any(map(_MARKED, theirs))
    if marked and "unmarked" not in chain:
        return (
            "Those of the vocabulary have the marks of a subword tokenizer: "
            f"match='{chain},unmarked' looks for them without."
        )
    if any(map(_SEPARATED, ours)):
        return (
            "Those of the vocabulary have separators in them: give a file of one token "
            "a line, the first column of a table alone."
        )
    if not (_scripts(ours) & _scripts(theirs)):
        return "The two are not in the same script: take vectors of the language."
    return "Is it the right language, and the same kind of token?"


def _most(tokens: list[str], test: Callable[[str], object]) -> bool:
    return 2 * sum(bool(test(token)) for token in tokens) > len(tokens)


def _scripts(tokens: list[str]) -> set[str]:
    """Return the first words of the Unicode names of all letters: LATIN, GREEK, ..."""
    letters = set("".join(tokens))
    names = (unicodedata.name(one, "") for one in letters if one.isalpha())
    return {name.partition(" ")[0] for name in names}
