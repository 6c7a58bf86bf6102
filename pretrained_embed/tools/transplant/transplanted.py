"""`transplant`: a model's embedding for the tokens of another tokenizer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from pretrained_embed.arrays import Float32Array
from pretrained_embed.errors import ShapeError, VocabularyError
from pretrained_embed.formats.hugging_face.embedding_tensor import is_bias
from pretrained_embed.library import Library
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.sources import Source
from pretrained_embed.tools.transplant import saved_folder, tokenizer
from pretrained_embed.tools.transplant.checkpoint import (
    Checkpoint,
    Stored,
    open_checkpoint,
    to_float64,
)
from pretrained_embed.tools.transplant.new_rows import (
    NewRows,
    RowStart,
    methods_of,
    new_rows,
)
from pretrained_embed.tools.transplant.tokenizer import (
    AnyTokenizer,
    ModelTokenizer,
    Pieces,
)
from pretrained_embed.vocabulary import Vocabulary

Method = Literal["pieces", "similarity", "mean"]


class Transplanted:
    """A model's tables with the rows of a new tokenizer. Made by `transplant`.

    ``tensors`` has them by name, in the dtype of the model (bfloat16 as uint16 bits):
    the input embedding first, then what is stored of the output head. ``start`` is
    uint8 (rows,), one code of `RowStart` a row, the same for all of them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        new: ModelTokenizer,
        made: NewRows,
        tensors: dict[str, Stored],
        dtype: str,
    ) -> None:
        self.tensors = tensors
        self.dtype = dtype  # of the input embedding, as safetensors names it
        self.start = made.start
        self.vocabulary: Vocabulary = new.vocabulary
        self._checkpoint = checkpoint
        self._tokenizer_files = new.files

    @property
    def vectors(self) -> Float32Array:
        """The input embedding, float32 (rows, dim)."""
        table = next(iter(self.tensors.values()))
        return to_float64(table, self.dtype).astype(np.float32)

    def counts(self) -> dict[str, int]:
        """Return how many rows start from what."""
        codes = np.bincount(self.start, minlength=len(RowStart))
        return {code.name.lower(): int(codes[code]) for code in RowStart}

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model with the new tables into a new folder, whole or not at all.

        ``vocab_size`` in ``config.json`` and the totals of a sharded model's index are
        brought up to date. The files of the old tokenizer are left out; in their place
        come those of the new one, if it was given as a path. All else is copied byte
        for byte. Ids of special tokens in the configs (``eos_token_id``) are those of
        the old tokenizer still. Raises `WriteError`.
        """
        saved_folder.save(
            self._checkpoint,
            self.tensors,
            len(self.start),
            self._tokenizer_files,
            Path(folder),
        )

    def __str__(self) -> str:
        made = ", ".join(f"{n:,} {name}" for name, n in self.counts().items() if n)
        return f"{len(self.start):,} rows of {', '.join(self.tensors)}: {made}."


def transplant(
    model: str | os.PathLike[str],
    old_tokenizer: AnyTokenizer,
    new_tokenizer: AnyTokenizer,
    *,
    init: Method | Iterable[Method] = "pieces",
    static: EmbeddingMatrix | Source | None = None,
    special: Mapping[str, str] | None = None,
    pieces: Pieces | None = None,
    tensor: str | None = None,
    library: Library | None = None,
) -> Transplanted:
    """Give a model's embedding the rows of another tokenizer.

    ``model`` is a folder with ``config.json`` and safetensors files, as Hugging Face's
    ``save_pretrained`` writes it; the module ``formats.tensor_names`` lists the names
    under which tables are found. ``tensor`` names the input embedding where that does
    not tell. Each stored tensor of the output head is given new rows in the same way,
    from its own.

    A tokenizer is the path of a ``tokenizer.json`` or of its folder, a tokenizer of
    ``tokenizers`` or ``transformers``, another object with ``get_vocab()`` and
    ``tokenize(text)``, or a mapping from token to id.

    A token that the old tokenizer has keeps its row, bit for bit; where the two mark
    words differently (``Ġ``, ``▁``, ``##``) tokens are compared without their marks.
    ``special`` names, by tokens of the new tokenizer, the old ones whose rows they
    take: ``{"[PAD]": "<pad>"}``. ``init`` says what the others start from, one or
    several in the order they are tried:

    * "pieces": the mean of the rows of the old tokens that their text consists of.
      ``pieces``, a function from a text to tokens, takes the place of the old
      tokenizer's own;
    * "similarity": the mean of shared tokens' rows, weighted by how near they are in
      ``static``, vectors of words (a matrix, or a source that ``library`` opens) for
      both vocabularies, or a matrix of vectors of tokens, marked as the new tokenizer
      marks its own;
    * "mean": the mean of the rows of all old tokens. So does what nothing else serves.

    Raises `FormatError` for a model or tokenizer that is damaged or without an
    embedding that is told apart, `SourceError` for what cannot be read, `ShapeError` if
    embedding, config and old tokenizer do not fit each other, `VocabularyError` if the
    new tokenizer's ids have holes, `OptionError`, and `MissingPackageError` where
    "pieces" of a ``tokenizer.json`` need the package ``tokenizers``.
    """
    methods = methods_of(init)
    checkpoint = open_checkpoint(Path(model), Library.of(library).read_options)
    inputs = checkpoint.input_names(tensor)
    old = tokenizer.read(old_tokenizer, pieces)
    new = tokenizer.read(new_tokenizer)
    _check_holes(new)

    names = list(dict.fromkeys(inputs + checkpoint.output_names()))
    known = checkpoint.tensors()
    tables = {name: _by_row(checkpoint.load(name), name) for name in names}
    _check_sizes(checkpoint, tables, old)
    made = new_rows(old, new, methods, special or {}, static, library)
    old_ids = sorted(old.vocabulary.ids.values())
    tensors = {
        name: _shaped(
            made.apply(table, known[name].dtype, old_ids), known[name].shape, name
        )
        for name, table in tables.items()
    }
    return Transplanted(checkpoint, new, made, tensors, known[inputs[0]].dtype)


def _by_row(tensor: Stored, name: str) -> Stored:
    """Return a tensor as a table, (rows, dim), of which a bias is one column."""
    return tensor.reshape(-1, 1) if is_bias(name) else tensor


def _shaped(table: Stored, before: tuple[int, ...], name: str) -> Stored:
    """Return a table in the form of the tensor that it takes the place of."""
    return table.reshape(*before[:-1], -1) if is_bias(name) else table


def _check_sizes(
    checkpoint: Checkpoint, tables: dict[str, Stored], old: ModelTokenizer
) -> None:
    first, rows = next((name, len(table)) for name, table in tables.items())
    if checkpoint.vocab_size != rows:
        raise ShapeError(
            f"{checkpoint.folder}: vocab_size is {checkpoint.vocab_size:,} in its "
            f"config, but {first!r} has {rows:,} rows"
        )
    for name, table in tables.items():
        if len(table) < len(old.vocabulary):
            raise ShapeError(
                f"{checkpoint.folder}: {name!r} has {len(table):,} rows, but the ids "
                f"of the old tokenizer go up to {len(old.vocabulary) - 1:,}; give the "
                "tokenizer the model was made for"
            )


def _check_holes(new: ModelTokenizer) -> None:
    holes = new.vocabulary.holes
    if len(holes):
        raise VocabularyError(
            f"the new tokenizer has no token with id {int(holes[0]):,}, and "
            f"{len(holes):,} such holes in all; a row has to start from a token"
        )
