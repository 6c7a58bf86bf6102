"""`build_matrix`: from a vocabulary and the names of sources to a matrix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pretrained_embed import former_names
from pretrained_embed.arrays import AnyProgress, listener
from pretrained_embed.build.limits import Limits
from pretrained_embed.build.loop import build
from pretrained_embed.build.plan import Plan, recipe_of_call
from pretrained_embed.build.work import Output, Shards, Work
from pretrained_embed.errors import BY_LIMITS, OptionError, brief, left_out
from pretrained_embed.fill import Policies
from pretrained_embed.formats import Reader
from pretrained_embed.ledger import check_place
from pretrained_embed.ledger.kept import Onto
from pretrained_embed.library import (
    DEFAULT_SOURCE,
    Folder,
    Given,
    Library,
    OpenSource,
    layouts_of,
    listed_sources,
)
from pretrained_embed.lookup import Match, chain_names
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.recipe import Recipe
from pretrained_embed.saved import load_matrix
from pretrained_embed.vocabulary import AnyVocabulary, Vocabulary

#: Former keywords of `build_matrix`, and the present ones.
_FORMER = {
    "source": "sources=",
    "extend": "onto=",
    "shards": "out=pe.Shards(folder, files)",
    "unk": "recipe=pe.Recipe(special_oov={'unk': ...})",
    **former_names.RECIPE,
    **former_names.LIMITS,
    **former_names.WORK,
    **former_names.LIBRARY,
}


@left_out(BY_LIMITS)
def build_matrix(
    vocabulary: AnyVocabulary,
    sources: Given | Sequence[Given] = DEFAULT_SOURCE,
    *,
    match: Match | None = None,
    oov: Policies | None = None,
    seed: int | None = None,
    recipe: Recipe | None = None,
    limits: Limits | None = None,
    library: Library | None = None,
    onto: EmbeddingMatrix | Given | None = None,
    out: Folder | Shards | None = None,
    work: Work | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> EmbeddingMatrix:
    """Build the matrix whose row *i* is the vector of the token with id *i*.

    A row depends only on the sources, the recipe and the token, not on other tokens or
    their number. The pad row and the rows of holes are zeros.

    Parameters
    ----------
    vocabulary : Vocabulary, or what `Vocabulary.of` takes
        The tokens, with their ids.
    sources : name, path, URL, open file, object in memory or Reader, or a list of them
        The vectors, as in `open_vectors`; default "glove-6b-50d".
        ``Recipe(combine=...)`` says how several are combined.
    match : str, callable, or a sequence of them, default "exact"
        The forms of a token that are looked up, such as "exact,lower": see `Recipe`.
    oov : str, callable, or a sequence of them, default "normal"
        The policies that fill the rows of tokens that are not found, such as
        "ngram,normal": see `Recipe`.
    seed : int, default 0
        Seed for the numbers that policies draw.
    recipe : Recipe, optional
        All choices that the rows depend on. It includes ``match``, ``oov`` and
        ``seed``, which cannot be given together with it.
    limits : Limits, optional
        When the build fails: too few found tokens, or malformed rows. By default it
        fails at the first malformed row, or if no token is found.
    library : Library, optional
        Cache, catalog, and whether the network may be used.
    onto : EmbeddingMatrix, path or object in memory, optional
        A matrix, its file, or an object in memory. Its tokens keep their rows, bit for
        bit; only the others are built. See `EmbeddingMatrix.extend`. Rows of a matrix
        of another dtype are rounded if needed, which the findings note.
    out : path or Shards, optional
        The file into which the rows are written as they are made, ``.npy``, ``.npz``,
        ``.h5`` or ``.safetensors``, or ``pe.Shards(folder, files)``, see `load_shard`.
        The matrix may be larger than the memory; the returned one maps the file, and
        reads shards when its vectors are used. If the rows fit into free memory, they
        are written directly; else they are collected in a folder beside ``out`` until a
        source is read completely, and a killed build continues from there.
    work : Work, optional
        Threads, executor, memory, advice. It changes the time, never the rows.
    progress : callable of (bytes, bytes in all or None), or True, optional
        Called while a source is downloaded, again while it is read, and again while
        rows are filled. True prints lines on standard error.
    **former
        Keywords of earlier releases, which raise `OptionError` with the new name.

    Returns
    -------
    EmbeddingMatrix
        ``vectors`` is float32 (len(vocabulary), dim), whatever the recipe's ``dtype``.
        The ledger says how each row was filled, from which source and which row.

    Raises
    ------
    VocabularyError, SourceError, FormatError, WriteError
        For an invalid vocabulary, source or output.
    OptionError
        For unknown or contradictory values, and for a former name of an option; the
        message has the new one.
    CoverageError
        If fewer tokens are found than ``limits`` require, or none. It is an `OOVError`
        if ``oov="error"`` leaves a row unfilled.
    RowError
        For more malformed rows than ``limits`` allow; it names the first.
    ShapeError
        If the rows to keep have another dim.
    WorkerError
        If a task of an executor fails repeatedly.

    Notes
    -----
    A source with a name or URL is made into a store in the cache at its first use: the
    next matrix from it takes milliseconds. See `index`.

    Examples
    --------
    >>> matrix = build_matrix(
    ...     ["the", "cat"], "vectors.txt", match="exact,lower", oov="zeros"
    ... )  # doctest: +SKIP
    >>> matrix = build_matrix(
    ...     Vocabulary.from_file("vocab.txt"),
    ...     ["glove-6b-50d", "slang.txt"],
    ...     recipe=Recipe(match="exact,lower", combine="concat"),
    ...     limits=Limits(coverage=0.8, bad_rows=0.001),
    ...     out=Shards("model", 8),
    ...     work=Work(memory="4GB"),
    ... )  # doctest: +SKIP
    """
    former_names.refuse(former, _FORMER, build_matrix)
    library = Library.of(library)
    vocabulary = Vocabulary.of(vocabulary)
    plan = Plan.of(
        vocabulary,
        recipe_of_call(recipe, match=match, oov=oov, seed=seed),
        limits=limits,
        work=work,
        progress=listener(progress),
    )
    output = Output.of(out, len(vocabulary), library.read_options)
    listed = listed_sources(sources)
    kept = None
    if onto is not None:
        old, name = _earlier(onto, library)
        if old.missing(vocabulary) is None:  # nothing is to be read
            listed = ()
        chain = chain_names(plan.recipe.chain) if listed else ()
        kept = Onto.of(old.stored, old.ledger, name, vocabulary, chain, len(listed))
    if plan.composes:  # only the source itself has subword vectors
        library = replace(library, stores=False)
    opened: list[OpenSource] = []
    layouts = layouts_of(plan.recipe.layout, len(listed)) if listed else []
    with ExitStack() as stack:
        for one, layout in zip(listed, layouts, strict=True):
            opened.append(
                library.opened(
                    one,
                    layout=layout,
                    progress=plan.progress,
                    make_store=plan.on_bad_row == "error",
                )
            )
            if opened[-1].reader is not one:
                stack.callback(opened[-1].reader.close)
        if output.path is not None:
            check_place(output.path, [one.provenance for one in opened])
        return build(plan.with_sources(opened, kept), output)


def _earlier(
    onto: EmbeddingMatrix | Given, library: Library
) -> tuple[EmbeddingMatrix, str]:
    """Return the matrix whose rows are kept, and its name."""
    if isinstance(onto, EmbeddingMatrix):
        return onto, "an earlier matrix"
    from pretrained_embed.formats import objects

    if isinstance(onto, Reader) or objects.find(onto) is not None:
        reader = library.open(onto)
        return load_matrix(reader, library=library), reader.name
    if not isinstance(onto, str | bytes | os.PathLike):
        raise OptionError(
            f"onto is {brief(onto)}; give a matrix, the path of a saved one, or an "
            "object that holds tokens and vectors"
        )
    return load_matrix(onto, library=library), os.fsdecode(onto)
