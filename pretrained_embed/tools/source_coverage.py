"""From a vocabulary and the names of sources to a comparison of these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pretrained_embed.build.limits import Limits
from pretrained_embed.build.options import Options
from pretrained_embed.build.rows import located_in
from pretrained_embed.formats import AnyLayout
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.ledger import Comparison, compare
from pretrained_embed.lookup import Match, chain_names
from pretrained_embed.pipeline.opening import (
    Folder,
    Given,
    Where,
    layouts_of,
    listed_sources,
    open_reader,
)
from pretrained_embed.progress import AnyProgress, listener
from pretrained_embed.recipe import Recipe
from pretrained_embed.vocabulary import AnyVocabulary, Vocabulary


def coverage(
    vocabulary: AnyVocabulary,
    sources: Given | Sequence[Given],
    *,
    match: Match = ("exact",),
    advise: bool = True,
    threads: int | None = None,
    layout: AnyLayout | Sequence[AnyLayout] = None,
    on_bad_row: OnBadRow = "error",
    use_store: bool = True,
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    progress: AnyProgress = None,
) -> Comparison:
    """Return how much of a vocabulary each source has, without building a matrix.

    ``sources`` is a list of what `build_matrix` takes as source, or one of them; the
    other arguments are as there. Each source is read once, and no vector is kept.
    Raises what `build_matrix` does, but `CoverageError`.

    >>> print(coverage(["the", "cat"], ["a.txt", "b.txt"]))  # doctest: +SKIP
    """
    progress = listener(progress)
    vocabulary = Vocabulary.of(vocabulary)
    options = Options.of(
        Recipe(match=match, layout=layout),
        vocabulary,
        limits=Limits(bad_rows=0 if on_bad_row == "error" else 1.0),
        advise=advise,
        threads=threads,
        progress=progress,
    )
    where = Where(cache_dir, offline, catalog)
    located = []
    listed = listed_sources(sources)
    layouts = layouts_of(layout, len(listed))
    for source, known in zip(listed, layouts, strict=True):
        opened = open_reader(source, where, progress, use_store=use_store, layout=known)
        try:
            located.append(located_in(vocabulary, opened.reader, options))
        finally:
            if opened.reader is not source:
                opened.reader.close()
        located[-1].findings.notes.extend(opened.notes)
    return compare(vocabulary, located, chain_names(options.match))
