"""From a vocabulary and the names of sources to a matrix."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretrained_embed import former_options
from pretrained_embed.arrays import AnyProgress, listener
from pretrained_embed.budget import number_of_bytes
from pretrained_embed.build import Plan, Work, build
from pretrained_embed.build.limits import Limits
from pretrained_embed.build.options import Options
from pretrained_embed.fill import Policies
from pretrained_embed.formats import AnyLayout
from pretrained_embed.formats.reader import OnBadRow
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
from pretrained_embed.pipeline.loading import load_matrix
from pretrained_embed.recipe import How, Recipe
from pretrained_embed.vocabulary import AnyVocabulary, Vocabulary

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: Options that had another name, and what is written now.
_FORMER = {"extend": "onto="} | former_options.LIBRARY


def build_matrix(
    vocabulary: AnyVocabulary,
    source: Given | Sequence[Given] = DEFAULT_SOURCE,
    *,
    match: Match = ("exact",),
    oov: Policies = "normal",
    unk: Policies | None = None,
    special_oov: Mapping[str, Policies] | None = None,
    seed: int = 0,
    combine: How = "fill",
    scale: Iterable[float] | None = None,
    normalize_each: bool = False,
    postprocess: str | Iterable[str] = (),
    onto: EmbeddingMatrix | Folder | None = None,
    min_coverage: float = 0.0,
    min_token_coverage: float = 0.0,
    advise: bool = False,
    threads: int | None = None,
    layout: AnyLayout | Sequence[AnyLayout] = None,
    on_bad_row: OnBadRow = "error",
    max_bad_rows: int | float | None = None,
    library: Library | None = None,
    out: Folder | None = None,
    shards: int | None = None,
    executor: Executor | None = None,
    memory: int | str | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> EmbeddingMatrix:
    """Build the matrix whose row *i* is the vector of the token with id *i*.

    ``vocabulary`` is what `Vocabulary.of` takes; ``source`` as in
    `open_vectors`, or a `Reader` that is open, or a list of such.

    ``match`` names the forms of a token that are looked for, in order. The first that
    the source has is taken; the ledger records which.

    * "exact"; "lower", "title", "upper"; "nfc", "nfkc"; "strip-accents";
    * "digits-hash" (``####`` for 1984), "digits-zero"; "quotes": those and the dashes
      of a keyboard; "joined": words joined by ``_``, a space or ``-`` otherwise;
    * "compound": the mean of the parts between hyphens and the like, all of which have
      to be there, in a form of the chain or as they stand;
    * "conceptnet" or "conceptnet:de": ``/c/en/new_york``; "unmarked": without the mark
      of a subword tokenizer;
    * "lemma:en" and "stem:en", which need simplemma and snowballstemmer;
    * "lower+strip-accents" and the like: one after the other;
    * a callable: given a token, returns its form, several, or ``None``.

    Special tokens are looked for as they stand, whatever the chain.

    ``oov`` fills the rows of tokens that are not in the source:

    * "normal" and "uniform" draw numbers that have, in each dimension, the mean and
      deviation of the source's first 10,000 rows;
    * "mean" takes that mean; "zeros" takes zeros;
    * "error" raises `OOVError`;
    * a callable is given some of the tokens, a `Statistics` and dim, and returns
      float32 (tokens, dim); what it returns for a token may depend on it alone;
    * "subword" takes the vector that the source makes of its own pieces of the token:
      a fastText model or a floret table, read itself, never from a store;
    * "parts" takes the mean of tokens of the source that the token consists of, found
      by greedy longest match, the longer ones weighing more;
    * "ngram" takes what the token's character n-grams predict, by a ridge regression
      that is fitted to the source's first 50,000 rows, which takes seconds.

    The last three cannot fill every row. They, and one of the others at the end, can be
    a chain, such as "parts,zeros", each filling what is left; where none is named,
    "normal" comes last. The ledger records which filled a row.

    A row depends on the source, these options, ``seed`` and the token alone: neither
    other tokens nor their number change it. ``special_oov`` has the policies for the
    rows of special tokens that the source does not have, by what they are for or by
    themselves: ``{"mask": "zeros", "[CLS]": "mean"}``. ``unk`` is short for that of the
    unk token. Those not named have the last policy of ``oov``. The pad row and the
    rows of holes are zeros.

    Of several sources, ``combine`` makes one matrix:

    * "fill" takes a token's vector from the first source that has the token in any form
      of the chain, all of the first source before the next; sources have one dim. OOV
      rows are filled from the first source, or for "subword" from the first that has
      subword pieces;
    * "concat" puts the vectors of all sources side by side; where one does not have the
      token, ``oov`` fills that part from that source, and draws for each part anew;
    * "average" is their mean, with zeros behind the shorter ones, over the sources that
      have the token; if none has, it is the mean of what ``oov`` makes from each.

    Before that, ``normalize_each`` brings each row to length 1, and ``scale``, a factor
    for each source, multiplies it. A token counts as found if any source has it.

    ``postprocess`` names steps that change the finished rows in turn: "unit-norm",
    "center", "all-but-the-top" or "all-but-the-top:D", "pca:K". What they need to know
    of the source is taken from its first 10,000 rows; see
    `pretrained_embed.build.postprocess`.

    ``onto`` is a matrix, or the file of one: tokens that it has keep its rows, to the
    bit and as they are, and the others are built as is asked for here; see
    `EmbeddingMatrix.extend`.

    ``min_coverage``, 0 to 1, is the least share of tokens to be found, and
    ``min_token_coverage`` the least share of the text that they make up, by the counts
    of the vocabulary. ``advise`` has the same pass over the source find out which other
    forms would find more: see `Coverage`. ``threads`` (by default the CPUs this process
    may use) changes the time, never the result.
    ``layout`` is what is known of how sources are laid out, as in `open_vectors`: one
    for all of them, or a list with one, or ``None``, for each.
    ``on_bad_row="skip"`` leaves malformed rows out and counts them; of more than
    ``max_bad_rows`` in a source, a number or a share of its rows from 0.0 to 1.0, it
    raises `RowError`, which names the first.

    What is known by name or URL is made into a store at its first use, see `index`: the
    next matrix of it takes milliseconds. ``library=Library(stores=False)`` reads the
    source itself. The bytes are the same, but from a store of float16. ``library`` also
    has the cache, the catalog, and how files are read. ``progress`` is True for lines
    on standard error, or a function that is called with bytes done, and bytes in all or
    ``None``: for a download, if there is one, then from the start again for the
    reading, and again for what is read to fill rows.

    For what is larger than the memory, the result being the same to the bit:

    * ``out`` is the file that the rows go into as they are made, ``.npy``, ``.npz``,
      ``.h5`` or ``.safetensors``; the matrix that is returned maps it. Memory holds the
      index of the tokens and some blocks of rows. Rows wait in a folder beside ``out``
      until all of a source is read, about as many bytes as the matrix has; a build that
      was killed goes on from what is finished there.
    * ``shards`` is how many files they go into instead, ``out`` being a new folder: see
      `load_shard`. The vectors of the matrix that is returned are read when they are
      asked for.
    * ``executor``, any `concurrent.futures.Executor`, reads the source: also one of
      processes or, such as Dask's ``client.get_executor()``, of other machines, if they
      see the same files at the same places, ``out`` too. A split of the source that
      fails is read again.
    * ``memory``, a number of bytes or ``"4GB"``, is what the index may take in each
      process, by default half of what is free; tokens that need more are looked for in
      several passes over the source. "parts" and "ngram" read it again for each block
      of rows.

    Raises `VocabularyError`, `SourceError`, `FormatError`, `OptionError`, `WriteError`,
    `CoverageError` if too few tokens were found, or none, `ShapeError` if the matrix to
    extend has another dim, and `WorkerError` if what an executor runs keeps failing.
    """
    former_options.refuse(former, _FORMER)
    library = Library.of(library)
    vocabulary = Vocabulary.of(vocabulary)
    work = Work(
        None if out is None else Path(os.fsdecode(out)),
        shards,
        executor,
        None if memory is None else number_of_bytes(memory),
    )
    work.check(len(vocabulary))
    special = special_oov
    if unk is not None and vocabulary.unk_token is not None:
        special = {**(special or {}), "unk": unk}
    rows_allowed = 1.0 if max_bad_rows is None else max_bad_rows
    options = Options.of(
        Recipe(
            match=match,
            oov=oov,
            special_oov=special,
            seed=seed,
            combine=combine,
            scale=scale,
            normalize_each=normalize_each,
            postprocess=postprocess,
            layout=layout,
        ),
        vocabulary,
        limits=Limits(
            min_coverage,
            min_token_coverage,
            rows_allowed if on_bad_row == "skip" else 0,
        ),
        advise=advise,
        threads=threads,
        progress=listener(progress),
    )
    listed = listed_sources(source)
    kept = None
    if onto is not None:
        old, name = _earlier(onto, library)
        if old.missing(vocabulary) is None:  # nothing is to be read
            listed = ()
        chain = chain_names(options.match) if listed else ()
        kept = Onto.of(old.vectors, old.ledger, name, vocabulary, chain, len(listed))
    if options.composes:  # subword pieces are in the source itself
        library = replace(library, stores=False)
    opened: list[OpenSource] = []
    with ExitStack() as stack:
        for one, known in zip(listed, layouts_of(layout, len(listed)), strict=True):
            opened.append(
                library.opened(
                    one,
                    layout=known,
                    progress=options.progress,
                    make_store=on_bad_row == "error",
                )
            )
            if opened[-1].reader is not one:
                stack.callback(opened[-1].reader.close)
        if work.out is not None:
            check_place(work.out, [one.provenance for one in opened])
        return build(Plan.of(vocabulary, opened, options, kept), work)


def _earlier(
    onto: EmbeddingMatrix | Folder, library: Library
) -> tuple[EmbeddingMatrix, str]:
    """Return the matrix whose rows are to be kept, and what to call it."""
    if isinstance(onto, EmbeddingMatrix):
        return onto, "an earlier matrix"
    return load_matrix(onto, library=library), os.fsdecode(onto)
