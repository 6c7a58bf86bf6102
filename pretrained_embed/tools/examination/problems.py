"""From what was counted to what is wrong, and what would mend it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import brief
from pretrained_embed.formats.findings import Findings
from pretrained_embed.tools.examination.token_checks import TokenChecks
from pretrained_embed.tools.examination.vector_checks import VectorChecks

#: How many rows a problem names.
EXAMPLES = 5

#: An error breaks readers or training; a warning may be meant that way.
Severity = Literal["error", "warning"]


class Problem(NamedTuple):
    """One thing that is wrong with a file."""

    name: str  # for programs: the same for the same kind of problem
    severity: Severity
    rows: int  # how many have it; 1 where it is the file's
    what: str
    advice: str
    examples: tuple[str, ...]


#: Name, severity, the rows that have it, what they have, advice.
_Kinds = tuple[tuple[str, Severity, Sequence[int], str, str], ...]

_DROP = "`pretrained-embed convert IN OUT --drop-duplicates` keeps the first of each"
_SKIP = (
    "fetch the file again if it was cut; `pretrained-embed convert IN OUT --bad-rows "
    "100%` writes one without them"
)


def of_file(declared: int | None, findings: Findings) -> Iterator[Problem]:
    """Yield what is wrong with the rows and the header."""
    if findings.bad_rows:
        shown = tuple(
            f"{'row' if doubt.line is None else 'line'} "
            f"{doubt.row if doubt.line is None else doubt.line:,}: {doubt.what}"
            for doubt in findings.doubts
        )
        yield Problem(
            "malformed-rows",
            "error",
            findings.bad_rows,
            f"{_rows(findings.bad_rows)} malformed and cannot be read",
            _SKIP,
            shown,
        )
    if findings.suspicious_rows:
        yield Problem(
            "wide-rows",
            "warning",
            findings.suspicious_rows,
            f"{_rows(findings.suspicious_rows)} one value too long, as if the token "
            "ended in a number",
            "leave them if the tokens are meant so; else the dim is wrong, or the rows "
            "are damaged",
            (),
        )
    if declared is not None and declared != findings.rows:
        yield Problem(
            "false-header",
            "error",
            1,
            f"the header declares {declared:,} rows, there are {findings.rows:,}",
            "fetch the file again if it was cut; `pretrained-embed convert IN OUT` "
            "writes a true header",
            (),
        )


def of_tokens(tokens: PackedTokens, checks: TokenChecks) -> Iterator[Problem]:
    """Return what is wrong with the tokens."""
    kinds: _Kinds = (
        (
            "repeated-tokens",
            "error",
            checks.repeated,
            "the token of an earlier row; the first one counts",
            _DROP,
        ),
        (
            "repeated-after-nfc",
            "warning",
            checks.repeated_after_nfc,
            "a token that Unicode's normal form NFC makes equal to another one",
            "bring your vocabulary into one form, or add nfc to --match",
        ),
        (
            "repeated-after-trimming",
            "warning",
            checks.repeated_after_trimming,
            "a token that is another one with white space around it",
            "leave them: they are tokens of their own; tools that trim mix them up",
        ),
        (
            "not-utf8",
            "error",
            checks.not_utf8,
            "a token that is not UTF-8",
            "find the file as it was published: its text was cut or saved in another "
            "encoding; the bytes are kept as they are",
        ),
        (
            "empty-tokens",
            "warning",
            checks.empty,
            "an empty token",
            "leave them if they are meant so; most tools have no way to name them",
        ),
        (
            "white-space-tokens",
            "warning",
            checks.white_space,
            "a token with white space in it",
            "leave them: they are read as they stand; for tools that split at white "
            "space write .npz, .h5 or .safetensors",
        ),
        (
            "invisible-tokens",
            "warning",
            checks.invisible,
            "a token with control or invisible characters",
            "leave them if they are meant so; a byte order mark (U+FEFF) before the "
            "first token was added by an editor",
        ),
    )
    return _of_rows(tokens, kinds)


def of_vectors(tokens: PackedTokens, checks: VectorChecks) -> Iterator[Problem]:
    """Return what is wrong with the vectors."""
    poison = (
        "train nothing on these rows: leave the tokens out, or give them other rows"
    )
    kinds: _Kinds = (
        ("nan", "error", checks.nan, "a number that is none (NaN)", poison),
        ("infinite", "error", checks.infinite, "an infinite number", poison),
        (
            "zero-vectors",
            "warning",
            checks.zero,
            "a vector of zeros",
            "leave it if it is padding; such tokens have no direction, no neighbours",
        ),
    )
    return _of_rows(tokens, kinds)


def _of_rows(tokens: PackedTokens, kinds: _Kinds) -> Iterator[Problem]:
    for name, severity, rows, what, advice in kinds:
        if rows:
            shown = tuple(_example(tokens, row) for row in rows[:EXAMPLES])
            count = f"{_rows(len(rows), 'have')} {what}"
            yield Problem(name, severity, len(rows), count, advice, shown)


def _rows(count: int, verb: str = "are") -> str:
    singular = {"are": "is", "have": "has"}[verb]
    return (
        f"{count:,} row{'s' if count != 1 else ''} {verb if count != 1 else singular}"
    )


def _example(tokens: PackedTokens, row: int) -> str:
    raw = tokens.raw(row)
    try:
        return f"row {row:,}: {brief(raw.decode())}"
    except UnicodeDecodeError:
        return f"row {row:,}: {brief(raw)}"
