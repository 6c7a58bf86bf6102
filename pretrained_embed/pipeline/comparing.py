"""From a vocabulary and the names of sources to a comparison of these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pretrained_embed import matrix
from pretrained_embed.arrays import Progress
from pretrained_embed.errors import OptionError
from pretrained_embed.formats import AnyLayout, Reader
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.matrix import Comparison, Match
from pretrained_embed.pipeline.opening import Folder, Where, layouts_of, open_reader
from pretrained_embed.sources import Source
from pretrained_embed.vocabulary import AnyVocabulary, Vocabulary


def coverage(
    vocabulary: AnyVocabulary,
    sources: Source | Reader | Sequence[Source | Reader],
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
    progress: Progress | None = None,
) -> Comparison:
    """Return how much of a vocabulary each source has, without building a matrix.

    ``sources`` is a list of what `build_matrix` takes as source, or one of them; the
    other arguments are as there. Each source is read once, and no vector is kept.
    Raises what `build_matrix` does, but `CoverageError`.

    >>> print(coverage(["the", "cat"], ["a.txt", "b.txt"]))  # doctest: +SKIP
    """
    vocabulary = Vocabulary.of(vocabulary)
    options = matrix.Options(
        match=matrix.match_chain(match),
        advise=advise,
        threads=threads,
        on_bad_row=on_bad_row,
        progress=progress,
    )
    if not isinstance(sources, list | tuple):
        sources = [cast(Source, sources)]
    if not sources:
        raise OptionError("there is no source to compare; name one at least")
    where = Where(cache_dir, offline, catalog)
    located = []
    layouts = layouts_of(layout, len(sources))
    for source, known in zip(sources, layouts, strict=True):
        opened = open_reader(source, where, progress, use_store=use_store, layout=known)
        try:
            located.append(matrix.locate(vocabulary, opened.reader, options))
        finally:
            if opened.reader is not source:
                opened.reader.close()
        located[-1].findings.notes.extend(opened.notes)
    return matrix.compare(vocabulary, located, options)
