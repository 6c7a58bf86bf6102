"""What is to be built: the rows of a range depend on the plan alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from pretrained_embed import __version__
from pretrained_embed.arrays import AnyArray, Int64Array, Progress
from pretrained_embed.bits import Dtype, Loss
from pretrained_embed.build.combine import Combination, Turn, turns
from pretrained_embed.build.limits import Limits, nothing_found
from pretrained_embed.build.postprocess import Changes, resolve, sample
from pretrained_embed.build.work import Work
from pretrained_embed.errors import OptionError, ShapeError, given
from pretrained_embed.fill import PolicyChain, special_chains
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.formats.table import bounds
from pretrained_embed.ledger import Ledger
from pretrained_embed.ledger.kept import Onto
from pretrained_embed.ledger.provenance import ROUNDING
from pretrained_embed.library import OpenSource
from pretrained_embed.lookup.match import EXACT, chain_names
from pretrained_embed.recipe import Recipe, Step, facts, parse_steps
from pretrained_embed.vocabulary import Vocabulary

#: Bytes of the vectors of a range: few, so that memory that was used for one is used
#: again for the next; but each range reads of each extract, so there are not too many.
_RANGE = 1 << 24
_RANGES = 1 << 10


@dataclass(frozen=True)
class Plan:
    """A vocabulary, open sources, and how rows are made of them.

    ``onto`` has the rows that are kept of an earlier matrix. ``ranges`` are those of
    the rows, in order: one, if all are made at once.
    """

    vocabulary: Vocabulary
    recipe: Recipe
    special_oov: Mapping[str, PolicyChain]  # by token
    limits: Limits
    work: Work
    progress: Progress | None
    ranges: tuple[range, ...]
    sources: tuple[OpenSource, ...] = ()
    combination: Combination = field(default_factory=Combination)
    steps: tuple[Step, ...] = ()  # with all their numbers
    dim: int = 0  # of the rows in the end
    onto: Onto | None = None
    fitted: Changes | None = None  # the steps, where another process has fitted them

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        limits: Limits | None = None,
        work: Work | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Return the plan of a build of one range, still without sources.

        Raises `OptionError` for special tokens that the vocabulary does not have, for
        limits on a text that the vocabulary does not count, and for what is no `Limits`
        and no `Work`.
        """
        limits = given("limits", limits, Limits)
        work = given("work", work, Work)
        if limits.text_coverage and vocabulary.counts is None:
            raise OptionError(
                "text_coverage needs to know how often tokens occur, and the "
                "vocabulary has no counts"
            )
        special = special_chains(recipe.special_oov, vocabulary)
        whole = (range(len(vocabulary)),)
        return cls(vocabulary, recipe, special, limits, work, progress, whole)

    def with_sources(
        self,
        sources: Sequence[OpenSource],
        onto: Onto | None = None,
        *,
        turned: Sequence[Turn | None] | None = None,
        learned: Mapping[str, AnyArray] | None = None,
    ) -> Self:
        """Return the same with sources, and the rows to be kept.

        ``turned`` and ``learned`` are what another process has learned of the sources.
        Raises `ShapeError` and `OptionError` where they, the recipe and the rows to be
        kept do not fit each other.
        """
        recipe, combination = self.recipe, Combination.of(self.recipe)
        steps = parse_steps(recipe.postprocess)
        names = [source.reader.name for source in sources]
        dim = 0 if onto is None else onto.dim
        if sources:
            readers = [source.reader for source in sources]
            dims = [reader.dim for reader in readers]
            steps, dim = resolve(steps, combination.dim(dims, names))
            if turned is None and recipe.align is not None:
                turned = turns(readers, recipe.align, self.on_bad_row)
            combination = replace(combination, turns=tuple(turned or ()))
        if onto is not None and dim != onto.dim:
            raise ShapeError(
                f"{' and '.join(names)} would give rows of {dim} dimensions; those to "
                f"be kept have {onto.dim}"
            )
        return replace(
            self,
            sources=tuple(sources),
            combination=combination,
            steps=steps,
            dim=dim,
            onto=onto,
            fitted=None if learned is None else Changes.of(steps, learned),
        )

    @property
    def on_bad_row(self) -> OnBadRow:
        """What a reader does with a malformed row."""
        return self.limits.on_bad_row

    @property
    def composes(self) -> bool:
        """Whether subword pieces are asked for, which no store of a source has."""
        chains = (self.recipe.oov, *self.special_oov.values())
        return any("subword" in chain for chain in chains)

    @property
    def calls(self) -> bool:
        """Whether functions of the caller's are asked for."""
        chains = (self.recipe.oov, *self.special_oov.values(), self.recipe.match)
        return any(callable(one) for chain in chains for one in chain)

    def step(self) -> int:
        """Return how many rows a range has at most, if there are many ranges.

        It is a multiple of the rows that shards have a digest of.
        """
        least = self.digested()
        return least * max(1, -(-len(self.vocabulary) // (least * _RANGES)))

    def digested(self) -> int:
        """Return how many rows shards have a digest of."""
        return max(1, _RANGE // (4 * self.dim))

    def cut(self, files: int, step: int) -> Plan:
        """Return the same in ranges of ``step`` rows at most, each of one file."""
        rows = len(self.vocabulary)
        return replace(
            self,
            ranges=tuple(
                range(begin, min(begin + step, stop))
                for start, stop in bounds(rows, files)
                for begin in range(start, stop, step)
            ),
        )

    @property
    def readers(self) -> list[Reader]:
        """The sources."""
        return [source.reader for source in self.sources]

    @property
    def dtype(self) -> Dtype:
        """What the finished rows are kept as."""
        return self.recipe.dtype

    @property
    def in_place(self) -> bool:
        """Whether a hit is the row itself, but for what `Combination.prepare` does."""
        how = self.combination.how
        return how == "fill" and not self.steps and self.onto is None

    @property
    def places_hits(self) -> bool:
        """Whether a token of the first source, as it was asked for, is a row of a file.

        Then only the same token further ahead in that source can win the row.
        """
        chain, native = self.recipe.chain, np.dtype("<f4").isnative
        plain = self.in_place and self.dtype == "float32" and native
        first = bool(self.sources) and self.combination.keeps(0)
        splits = any(form.splits for form in chain)
        return plain and first and chain[0] == EXACT and not splits

    @property
    def needs_coverage(self) -> bool:
        """Whether it is an error that too little is found, beside nothing at all."""
        limits = self.limits
        return max(limits.coverage, limits.text_coverage) > 0

    def asked(self, rows: range) -> Int64Array:
        """Return the rows of a range that sources are asked for, int64 rising.

        These are all, with pad and holes, or those that are not kept. None, if not a
        single one has a token.
        """
        ids = np.arange(rows.start, rows.stop)
        if self.onto is not None:
            return ids[self.onto.missing[rows.start : rows.stop]]
        without = np.searchsorted(self.vocabulary.holes, (rows.start, rows.stop))
        pad = self.vocabulary.pad_id is not None and self.vocabulary.pad_id in rows
        return ids if len(rows) > int(np.diff(without)[0]) + pad else ids[:0]

    @cached_property
    def change(self) -> Changes:
        """What changes finished rows by the steps of post-processing."""
        if self.fitted is not None:
            return self.fitted
        first = sample(self.readers, self.combination, self.on_bad_row)
        return Changes.fit(self.steps, first)

    def check(self, ledger: Ledger) -> None:
        """Raise `CoverageError` if nothing was found, or less than was asked for."""
        readers, asked = self.readers, ledger.asked
        any_found = (asked & ledger.found).any()
        if not self.needs_coverage and (any_found or not asked.any()):
            return  # most builds: nothing is counted that nobody asks for
        names = chain_names(self.recipe.chain)
        if self.onto is not None:
            names = (*(names if readers else ()), *self.onto.more_forms)
        coverage = ledger.covered(names)
        composing = "subword" in self.recipe.oov and any(r.composes for r in readers)
        if readers and coverage.tokens and not coverage.found and not composing:
            raise nothing_found(
                self.vocabulary, readers, self.recipe.chain, self.on_bad_row, coverage
            )
        self.limits.check(coverage)

    def together(self, parts: Sequence[Sequence[Contribution]]) -> list[Contribution]:
        """Return what came of each source in all parts of the vocabulary."""
        total = [Contribution(Findings()) for _ in self.sources]
        for part in filter(None, parts):
            total = [one.plus(other) for one, other in zip(total, part, strict=True)]
        return total

    def told(
        self, ledger: Ledger, contributions: Sequence[Contribution], loss: Loss
    ) -> Ledger:
        """Return the ledger of all rows with its provenance and its findings.

        ``loss`` is what rounding did to the rows.
        """
        provenance, findings = (
            self.provenance(contributions),
            self.findings(contributions),
        )
        if self.dtype != "float32":
            provenance[ROUNDING] = loss.facts(self.dtype)
        return replace(ledger, provenance=provenance, findings=findings)

    def provenance(self, contributions: Sequence[Contribution]) -> dict[str, Any]:
        """Return how to make the same rows again."""
        used = {"versions": versions()}
        if not self.sources and self.onto is not None:
            return self.onto.provenance(used, [])
        asked = facts(self.recipe)
        each = [
            {
                **source.provenance,
                "format": source.reader.format,
                "rows": one.findings.rows,
                "dim": source.reader.dim,
            }
            for source, one in zip(self.sources, contributions, strict=True)
        ]
        for told, turn in zip(each, self.combination.turns, strict=False):
            if turn is not None:
                told["aligned"] = turn.facts
        if len(each) > 1:
            for told, one in zip(each, contributions, strict=True):
                told["coverage"] = {"tokens": one.tokens, "found": one.found}
        if self.onto is not None:
            return self.onto.provenance({"options": asked, **used}, each)
        named = {"source": each[0]} if len(each) == 1 else {"sources": each}
        return {**named, "options": asked, **used}

    def findings(self, contributions: Sequence[Contribution]) -> Findings:
        """Return the findings of all sources, which of several are named."""
        total = Findings()
        for source, contribution in zip(self.sources, contributions, strict=True):
            found = contribution.findings
            if len(self.sources) > 1:
                found = found.of_file(source.reader.name)
            total.rows += found.rows
            total.bad_rows += found.bad_rows
            total.suspicious_rows += found.suspicious_rows
            total.duplicates += found.duplicates
            total.doubts += found.doubts
            total.notes += found.notes
        for source in self.sources:
            total.notes += source.notes
        if self.onto is not None and self.onto.vectors.encoding != self.dtype:
            old, new = self.onto.vectors.encoding, self.dtype
            what = "have its numbers" if new == "float32" else f"were rounded to {new}"
            total.notes.append(
                Note("vectors.rounded", f"rows kept of a matrix of {old} {what}")
            )
        return total


def versions() -> dict[str, str]:
    """Return the versions that a matrix may depend on.

    Returns
    -------
    dict of str to str
        The versions of "pretrained_embed" and "numpy".

    Examples
    --------
    >>> sorted(versions())
    ['numpy', 'pretrained_embed']
    """
    return {"pretrained_embed": __version__, "numpy": np.__version__}


@dataclass
class Contribution:
    """What came of looking for tokens in one source."""

    findings: Findings
    tokens: int = 0  # how many were looked for: all, or those not found before
    found: int = 0

    @classmethod
    def of(cls, ledger: Ledger) -> Contribution:
        """Return what came of looking for a vocabulary."""
        asked = ledger.asked
        found = np.count_nonzero(asked & ledger.found)
        return cls(ledger.findings, int(np.count_nonzero(asked)), int(found))

    def plus(self, other: Contribution) -> Contribution:
        """Return what came of looking for both of two parts in one source.

        A pass over the source finds the same both times, but for duplicates, and none
        was made for a part of which nothing was missing.
        """
        found = self.findings if self.findings.rows else other.findings
        duplicates = self.findings.duplicates + other.findings.duplicates
        return Contribution(
            replace(found, duplicates=duplicates),
            self.tokens + other.tokens,
            self.found + other.found,
        )


def recipe_of_call(recipe: Recipe | None, **fields: Any) -> Recipe:
    """Return the recipe of a call that was given one, or some of its fields.

    Raises `OptionError` for both.
    """
    fields = {name: value for name, value in fields.items() if value is not None}
    if recipe is None:
        return Recipe(**fields)
    for name in fields:
        raise OptionError(
            f"{name}= is a field of the recipe that is given, too: write "
            f"recipe=pe.Recipe({name}=..., ...), or leave recipe= out"
        )
    return given("recipe", recipe, Recipe)
