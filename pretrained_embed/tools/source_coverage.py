"""`coverage`: how much of a vocabulary each of several sources has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import pretrained_embed as pe
from pretrained_embed import former_names
from pretrained_embed.arrays import AnyProgress, BoolArray, listener
from pretrained_embed.build.plan import Plan, recipe_of_call
from pretrained_embed.build.rows import located_in
from pretrained_embed.errors import BY_LIMITS, left_out
from pretrained_embed.ledger import Coverage, Ledger, Origin
from pretrained_embed.ledger.coverage import EXAMPLES, percent
from pretrained_embed.ledger.report import (
    code,
    coverage_lines,
    found_cells,
    markdown_table,
    plain,
    token_cells,
    write_report,
)
from pretrained_embed.library import Given, Library, layouts_of, listed_sources
from pretrained_embed.lookup import Match, chain_names
from pretrained_embed.recipe import Recipe
from pretrained_embed.vocabulary import AnyVocabulary, Vocabulary


class SourceCoverage(NamedTuple):
    """The coverage of a vocabulary by one of several sources."""

    source: str
    format: str
    dim: int
    rows: int
    coverage: Coverage
    only_here: tuple[str, ...]  # the most frequent tokens that no other source has
    only_not_here: tuple[str, ...]  # those that all others have

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values."""
        return self._asdict() | {
            "coverage": self.coverage.to_dict(),
            "only_here": list(self.only_here),
            "only_not_here": list(self.only_not_here),
        }


@dataclass(frozen=True)
class Comparison:
    """How sources cover a vocabulary, each by itself and all ``together``.

    ``str(comparison)`` has a paragraph for each.

    Examples
    --------
    >>> print(coverage(["the", "cat"], ["a.txt", "b.txt"]).together)  # doctest: +SKIP
    """

    vocabulary: Vocabulary
    match: tuple[str, ...]
    located: tuple[Ledger, ...]  # by source, with the code and row of each token
    sources: tuple[SourceCoverage, ...]
    together: Coverage  # each token counts for its first source

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the ledgers as JSON-compatible values.

        Returns
        -------
        dict
            Vocabulary, sources and coverage.
        """
        return {
            "match": list(self.match),
            "sources": [
                source.to_dict() | {"findings": ledger.findings.facts}
                for source, ledger in zip(self.sources, self.located, strict=True)
            ],
            "together": self.together.to_dict(),
        }

    def save_report(
        self, path: str | os.PathLike[str], *, spreadsheet: bool = False
    ) -> None:
        """Write the comparison to a file: ``.md``, ``.json`` or ``.csv``.

        It is like `EmbeddingMatrix.save_report`; in CSV each source has two columns,
        the form that was found and its row.

        Parameters
        ----------
        path : path
            The file; its suffix names the form.
        spreadsheet : bool, default False
            As in `EmbeddingMatrix.save_report`.
        """
        write_report(
            path,
            spreadsheet=spreadsheet,
            lines=lambda: _lines(self),
            facts=self.to_dict,
            cells=lambda: _cells(self),
        )

    def __str__(self) -> str:
        lines = [f"{source.source}: {source.coverage}" for source in self.sources]
        if len(self.sources) > 1:
            lines.append(
                f"Together: {self.together.found:,} of {self.together.tokens:,} tokens "
                f"({percent(self.together.ratio)})."
            )
        return "\n".join(lines)


#: Former keywords of `coverage`, and the present ones.
_FORMER = {
    "layout": former_names.RECIPE["layout"],
    "threads": former_names.WORK["threads"],
    "advise": former_names.WORK["advise"],
    **former_names.BAD_ROWS,
    **former_names.LIBRARY,
}


@left_out(BY_LIMITS)
def coverage(
    vocabulary: AnyVocabulary,
    sources: Given | Sequence[Given],
    *,
    match: Match | None = None,
    recipe: Recipe | None = None,
    limits: pe.Limits | None = None,
    library: Library | None = None,
    work: pe.Work | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> Comparison:
    """Return how much of a vocabulary each source has, without building a matrix.

    Each source is read once, and no vector is kept.

    Parameters
    ----------
    vocabulary : Vocabulary, or what `Vocabulary.of` takes
    sources : name, path, URL, open file or Reader, or a list of them
        The sources to compare, as `build_matrix` takes them.
    match : str, callable, or a sequence of them, default "exact"
        The forms of a token that are looked up: see `Recipe`.
    recipe : Recipe, optional
        The recipe of a build, of which ``match`` and ``layout`` are used.
    limits : Limits, optional
        How many malformed rows of a source may be left out.
    library : Library, optional
        Where the sources come from.
    work : Work, optional
        Threads, and whether other forms are tried for advice; by default they are.
    progress : callable of (bytes, bytes in all or None), True or None
        Called while the sources are read.
    **former
        Keywords of earlier releases, which raise `OptionError` with the new name.

    Returns
    -------
    Comparison
        The coverage of each source, and of all together; printed, it is a table.

    Raises
    ------
    PretrainedEmbedError
        The errors of `build_matrix`, without `CoverageError`.

    Examples
    --------
    >>> print(coverage(["the", "cat"], ["a.txt", "b.txt"]))  # doctest: +SKIP
    """
    former_names.refuse(former, _FORMER, coverage)
    library, progress = Library.of(library), listener(progress)
    vocabulary = Vocabulary.of(vocabulary)
    work = pe.Work(advise=True) if work is None else work
    recipe = recipe_of_call(recipe, match=match)
    plan = Plan.of(
        vocabulary,
        Recipe(match=recipe.match, layout=recipe.layout),
        limits=pe.Limits.of_rows(limits, "coverage"),
        work=work,
        progress=progress,
    )
    layout = recipe.layout
    located = []
    listed = listed_sources(sources)
    layouts = layouts_of(layout, len(listed))
    for source, known in zip(listed, layouts, strict=True):
        opened = library.opened(source, layout=known, progress=progress)
        try:
            located.append(located_in(plan, opened.reader))
        finally:
            if opened.reader is not source:
                opened.reader.close()
        located[-1].findings.notes.extend(opened.notes)
    return _compared(vocabulary, located, chain_names(plan.recipe.chain))


def _compared(
    vocabulary: Vocabulary, located: Sequence[Ledger], match: tuple[str, ...]
) -> Comparison:
    """Return how sources cover a vocabulary, given the ledger of each.

    Each ledger is of one source; its provenance has name, format and dim. ``match`` are
    the names of the chain.
    """
    has = np.stack([each.found for each in located])
    sources = tuple(
        _source_coverage(
            each,
            match,
            has[number] & (has.sum(axis=0) == 1),
            ~has[number] & (has.sum(axis=0) == len(located) - 1),
        )
        for number, each in enumerate(located)
    )
    codes = np.stack([each.origin for each in located])  # (sources, rows)
    first = codes[np.argmax(has, axis=0), np.arange(len(vocabulary))]
    together = Ledger(vocabulary, first).covered(match)
    return Comparison(vocabulary, match, tuple(located), sources, together)


def _source_coverage(
    ledger: Ledger,
    match: tuple[str, ...],
    only_here: BoolArray,
    only_not_here: BoolArray,
) -> SourceCoverage:
    (source,) = ledger.source_facts
    return SourceCoverage(
        source["name"],
        source["format"],
        source["dim"],
        ledger.findings.rows,
        ledger.covered(match),
        _frequent(ledger.vocabulary, only_here),
        _frequent(ledger.vocabulary, only_not_here),
    )


def _frequent(vocabulary: Vocabulary, chosen: BoolArray) -> tuple[str, ...]:
    """Return the first of the chosen tokens, the most frequent if counts are known."""
    ids = np.flatnonzero(chosen)
    if vocabulary.counts is not None:
        ids = ids[np.argsort(-vocabulary.counts[ids], kind="stable")]
    return tuple(vocabulary.strings(ids[:EXAMPLES]))


def _cells(comparison: Comparison) -> Iterator[Sequence[object]]:
    names = [source.source for source in comparison.sources]
    yield (
        *("id", "token", "count"),
        *(head for name in names for head in (f"form: {name}", f"row: {name}")),
    )
    columns = zip(
        *(
            zip(each.origin.tolist(), each.source_rows.tolist(), strict=True)
            for each in comparison.located
        ),
        strict=True,
    )
    for cells, places in zip(token_cells(comparison.vocabulary), columns, strict=True):
        for number, row in places:
            cells += [Origin(number).label(comparison.match), "" if row < 0 else row]
        yield cells


def _lines(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of a report on several sources."""
    yield "# Coverage of a vocabulary by several sources"
    yield ""
    yield f"Match: {', '.join(map(plain, comparison.match))}."
    yield ""
    yield from markdown_table(
        ("source", "format", "rows", "dim", "found", "of the tokens", "of the text"),
        (
            (
                *(plain(source.source), source.format, source.rows, source.dim),
                *found_cells(source.coverage),
            )
            for source in comparison.sources
        ),
    )
    cells = found_cells(comparison.together)
    yield f"Together they have {cells[0]} tokens ({cells[1]})."
    yield ""
    for source in comparison.sources:
        yield f"## {code(source.source)}"
        yield ""
        for tokens, what in (
            (source.only_here, "Only here"),
            (source.only_not_here, "In all others"),
        ):
            if tokens and len(comparison.sources) > 1:
                yield f"{what}: {', '.join(map(code, map(repr, tokens)))}."
                yield ""
        yield from coverage_lines(source.coverage, "###")
