"""From a vocabulary and an open reader to a matrix."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from pretrained_embed.errors import CoverageError, OptionError
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import Float32Array, OnBadRow, Progress, Selection
from pretrained_embed.matrix import draws, oov
from pretrained_embed.matrix.coverage import measure, percent
from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix
from pretrained_embed.matrix.match import FORMS, match_chain, wanted_tokens
from pretrained_embed.matrix.origin import Origin, OriginArray
from pretrained_embed.vocabulary import Vocabulary


def build(
    vocabulary: Vocabulary,
    reader: Reader,
    *,
    match: str | Iterable[str] = ("exact",),
    oov_policy: oov.Policy = "normal",
    unk_policy: oov.Policy | None = None,
    seed: int = 0,
    min_coverage: float = 0.0,
    threads: int | None = None,
    on_bad_row: OnBadRow = "error",
    provenance: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> EmbeddingMatrix:
    """Return the matrix of ``vocabulary`` from the vectors that ``reader`` gives.

    The options are those of `pretrained_embed.build_matrix`, as are the errors.
    ``provenance`` says what is known of the source; the options are added to it.
    """
    chain = match_chain(match)
    oov.check_policy(oov_policy)
    if unk_policy is not None:
        oov.check_policy(unk_policy, "unk")
    draws.check_seed(seed)
    if on_bad_row not in ("error", "skip"):
        raise OptionError(f"on_bad_row is {on_bad_row!r}; it can be 'error' or 'skip'")
    if not 0.0 <= min_coverage <= 1.0:
        raise OptionError(f"min_coverage is {min_coverage}; it goes from 0 to 1")

    vectors = np.zeros((len(vocabulary), reader.dim), np.float32)
    selection = reader.select(
        wanted_tokens(vocabulary, chain),
        vectors,
        threads=threads,
        on_bad_row=on_bad_row,
        progress=progress,
    )
    origin = _ledger(vocabulary, selection, chain)
    coverage = measure(vocabulary, origin)
    if coverage.tokens and not coverage.found:
        raise _nothing_found(vocabulary, reader, chain, on_bad_row)
    if coverage.ratio < min_coverage:
        raise CoverageError(
            f"{percent(coverage.ratio)} of the tokens were found, "
            f"{percent(min_coverage)} are asked for. {coverage}"
        )
    _fill(vocabulary, reader, origin, vectors, oov_policy, unk_policy, seed, on_bad_row)

    vectors.flags.writeable = False  # and so need not be copied
    return EmbeddingMatrix(
        vectors,
        vocabulary,
        origin,
        {
            "source": {
                **(provenance or {}),
                "format": reader.format,
                "rows": selection.findings.rows,
                "dim": reader.dim,
            },
            "options": {
                "match": list(chain),
                "oov": oov.policy_name(oov_policy),
                "unk": None if unk_policy is None else oov.policy_name(unk_policy),
                "seed": seed,
                "on_bad_row": on_bad_row,
            },
        },
        selection.findings,
        selection.source_rows,
    )


def _ledger(
    vocabulary: Vocabulary, selection: Selection, chain: tuple[str, ...]
) -> OriginArray:
    codes = np.array([FORMS[form][1] for form in chain], np.uint8)
    found = selection.source_rows >= 0
    origin = np.where(found, codes[selection.ranks], Origin.OOV).astype(np.uint8)
    origin[vocabulary.holes] = Origin.UNUSED
    if vocabulary.pad_id is not None:
        origin[vocabulary.pad_id] = Origin.PAD
    return origin


def _fill(
    vocabulary: Vocabulary,
    reader: Reader,
    origin: OriginArray,
    vectors: Float32Array,
    oov_policy: oov.Policy,
    unk_policy: oov.Policy | None,
    seed: int,
    on_bad_row: OnBadRow,
) -> None:
    """Fill the rows of tokens that were not found: unk by its own policy, if it has."""
    statistics = cache(lambda: oov.source_statistics(reader, on_bad_row))
    rows = np.flatnonzero(origin == Origin.OOV)
    unk = vocabulary.unk_id if unk_policy is not None else None
    for policy, chosen in (
        (unk_policy or oov_policy, rows[rows == unk] if unk is not None else rows[:0]),
        (oov_policy, rows[rows != unk] if unk is not None else rows),
    ):
        if len(chosen):
            tokens = [str(vocabulary.tokens[row]) for row in chosen.tolist()]
            oov.fill(policy, tokens, vectors, chosen, seed=seed, statistics=statistics)


def _nothing_found(
    vocabulary: Vocabulary, reader: Reader, chain: tuple[str, ...], on_bad_row: OnBadRow
) -> CoverageError:
    block = next(iter(reader.blocks(on_bad_row=on_bad_row)), None)
    theirs = [] if block is None else block.tokens[:5]
    special = {vocabulary.pad_token, vocabulary.unk_token}
    ours = [token for token in vocabulary if token not in special][:5]
    return CoverageError(
        f"no token of the vocabulary is in {reader.name}. The vocabulary begins "
        f"{', '.join(map(repr, ours))}; the source begins "
        f"{', '.join(map(repr, theirs)) or 'with no row'}. Is it the right language, "
        f"letter case (match was {','.join(chain)}) and kind of token?"
    )
