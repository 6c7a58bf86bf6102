"""`examine`: read all of a source once, and tell what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pretrained_embed import former_options
from pretrained_embed.arrays import AnyProgress, PackedTokens, Progress, listener
from pretrained_embed.files.digests import sha256
from pretrained_embed.formats import AnyLayout, Findings, Reader
from pretrained_embed.library import Library
from pretrained_embed.sources import Source
from pretrained_embed.tools.examination import problems
from pretrained_embed.tools.examination.problems import Problem
from pretrained_embed.tools.examination.token_checks import check_tokens
from pretrained_embed.tools.examination.vector_checks import VectorChecks

#: How many of the first tokens are kept to be shown.
_FIRST = 5


@dataclass(frozen=True)
class Examination:
    """What a file of vectors is, and what is wrong with it.

    ``declared_rows`` is what a header says, ``rows`` what is there. ``norms`` are the
    least, mean and greatest Euclidean length of its finite rows. ``facts`` is what the
    format tells of itself, ``source`` what is known of where it is from.
    """

    name: str
    format: str
    rows: int
    declared_rows: int | None
    dim: int
    dtype: str
    first_tokens: tuple[str, ...]
    norms: dict[str, float] | None
    facts: dict[str, Any]
    source: dict[str, Any]
    findings: Findings
    problems: tuple[Problem, ...]

    @property
    def healthy(self) -> bool:
        """Whether no problem is an error."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            **{
                name: value
                for name, value in vars(self).items()
                if name not in ("findings", "problems", "first_tokens")
            },
            "first_tokens": list(self.first_tokens),
            "healthy": self.healthy,
            "problems": [
                problem._asdict() | {"examples": list(problem.examples)}
                for problem in self.problems
            ],
            "findings": self.findings.facts,
        }


def examine(
    source: Source,
    *,
    layout: AnyLayout = None,
    digest: bool = False,
    library: Library | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> Examination:
    """Read all of a source, and tell what it is and what is wrong with it.

    ``source`` and the other arguments are as in `open_vectors`; the source itself is
    read, never a store of it. Malformed rows are counted and described, as are tokens
    that are there twice (as bytes, in Unicode's normal form NFC, without the white
    space around them), are not UTF-8, empty, hold white space or cannot be seen;
    vectors with NaN or infinite numbers, or of zeros; a header that is false; and a
    file that was cut. Rows are numbered from 0, malformed ones left out.

    ``digest`` takes the SHA-256 of the local file, too: of the archive or compressed
    file, where it is in one.

    Raises `SourceError` where there is nothing to read, and `FormatError` where what
    there is cannot be opened at all.

    >>> print(examine("vectors.txt").problems)  # doctest: +SKIP
    ()
    """
    former_options.refuse(former, former_options.LIBRARY, examine)
    progress = listener(progress)
    itself = replace(Library.of(library), stores=False)
    opened = itself.opened(source, layout=layout, progress=progress)
    known = dict(opened.provenance)
    with opened.reader as reader:
        # Of what was fetched or comes in a package a digest is known already.
        if digest and (identity := opened.identity) and not identity.digests:
            for path in identity.files[:1]:
                known["sha256"] = sha256(path, progress=progress)
        return _examined(reader, known, progress)


def _examined(
    reader: Reader, source: Mapping[str, Any], progress: Progress | None = None
) -> Examination:
    """Read all rows of an open file, and return what there is to say of it.

    Malformed rows are counted, not raised. Holds the tokens in memory, of the vectors
    one block at a time.
    """
    parts: list[PackedTokens] = []
    vectors = VectorChecks()
    for block in reader.packed_blocks(on_bad_row="skip", progress=progress):
        parts.append(block.tokens)
        vectors.add(block.vectors)
    tokens, checks = check_tokens(parts)
    findings = reader.findings
    return Examination(
        name=reader.name,
        format=reader.format,
        rows=findings.rows,
        declared_rows=reader.count,
        dim=reader.dim,
        dtype=reader.dtype,
        first_tokens=tuple(tokens[:_FIRST].unpack()),
        norms=vectors.norms(),
        facts=dict(reader.facts),
        source=dict(source),
        findings=findings,
        problems=(
            *problems.of_file(reader.count, findings),
            *problems.of_tokens(tokens, checks),
            *problems.of_vectors(tokens, vectors),
        ),
    )
