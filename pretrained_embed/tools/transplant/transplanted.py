"""`transplant`: a model's embedding for the tokens of another tokenizer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from pretrained_embed.arrays import Float32Array
from pretrained_embed.errors import OptionError, ShapeError, VocabularyError, brief
from pretrained_embed.files.replacement import replacing
from pretrained_embed.formats.tensors.embedding import is_bias
from pretrained_embed.library import Library
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.sources import Source
from pretrained_embed.tools.transplant import tokenizer
from pretrained_embed.tools.transplant.new_rows import (
    NewRows,
    RowStart,
    methods_of,
    new_rows,
    own_rows,
)
from pretrained_embed.tools.transplant.saved_model import (
    NewIds,
    SavedModel,
    Stored,
    open_saved_model,
    same_bits,
    save,
    to_float64,
)
from pretrained_embed.tools.transplant.tokenizer import (
    AnyTokenizer,
    ModelTokenizer,
    Pieces,
)
from pretrained_embed.vocabulary import Vocabulary

Method = Literal["pieces", "omp", "similarity", "mean"]


class RowOrigin(NamedTuple):
    """How a row of a transplanted table was made."""

    token: str
    id: int
    start: RowStart
    parts: tuple[tuple[str, float], ...]  # old tokens and their weights


class Transplanted:
    """A model's tables with the rows of a new tokenizer; made by `transplant`.

    ``tensors`` has the tables by name, in the dtype of the model (bfloat16 as uint16
    bits): the input embedding first, then the stored tensors of the output head.
    ``start`` is uint8 (rows,), a code of `RowStart` for each row, the same for all
    tables.

    Parameters
    ----------
    checkpoint, old, new, made, tensors, dtype
        The parts that `transplant` makes.

    Examples
    --------
    >>> made = transplant("llama", None, "new-tokenizer")  # doctest: +SKIP
    >>> made.vectors.shape  # doctest: +SKIP
    (32000, 4096)
    """

    def __init__(
        self,
        checkpoint: SavedModel,
        old: ModelTokenizer,
        new: ModelTokenizer,
        made: NewRows,
        tensors: dict[str, Stored],
        dtype: str,
    ) -> None:
        self.tensors = tensors
        self.dtype = dtype  # of the input embedding, as in safetensors
        self.start = made.start.copy()
        self.start[list(made.own)] = RowStart.OWN
        self.vocabulary: Vocabulary = new.vocabulary
        self._checkpoint, self._old, self._new = checkpoint, old, new
        self._made = made

    @property
    def vectors(self) -> Float32Array:
        """The input embedding, float32 (rows, dim)."""
        table = next(iter(self.tensors.values()))
        return to_float64(table, self.dtype).astype(np.float32)

    def counts(self) -> dict[str, int]:
        """Return how many rows were made in each way.

        Returns
        -------
        dict of str to int
            By the name of `RowStart`.
        """
        codes = np.bincount(self.start, minlength=len(RowStart))
        return {code.name.lower(): int(codes[code]) for code in RowStart}

    def explain(self, token: str) -> RowOrigin:
        """Return how the row of a token was made.

        For a row of ``override`` it says how the row of an untied head was made.

        Parameters
        ----------
        token : str
            A token of the new tokenizer.

        Returns
        -------
        RowOrigin
            The start, and the old tokens with their weights.

        Raises
        ------
        UnknownTokenError
            For another token.
        """
        row = self.vocabulary[token]
        parts: list[tuple[int, float]] = []
        if row in self._made.copied:
            parts = [(self._made.copied[row], 1.0)]
        elif row in self._made.blended:
            ids, weights = self._made.blended[row]
            parts = [*zip(ids.tolist(), weights.tolist(), strict=True)]
        names = self._old.vocabulary.tokens
        named = tuple((str(names[id]), weight) for id, weight in parts)
        return RowOrigin(token, row, RowStart(self.start[row]), named)

    def origins(self) -> Iterator[RowOrigin]:
        """Yield how the row of each token was made, in the order of ids.

        Yields
        ------
        RowOrigin
            As in `explain`.
        """
        for token in self.vocabulary:
            yield self.explain(token)

    def save_ledger(self, path: str | os.PathLike[str]) -> None:
        """Write how each row was made, as a JSON object on a line for each token.

        A line is ``{"id": 7, "token": "cats", "start": "pieces", "parts": [["cat",
        0.5], ...]}``.

        Parameters
        ----------
        path : path
            The file to write.

        Raises
        ------
        WriteError
            If it cannot be written.
        """
        with replacing(path) as file:
            for origin in self.origins():
                said = origin._asdict() | {"start": origin.start.name.lower()}
                file.write((json.dumps(said) + "\n").encode("ascii"))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model with the new tables into a new folder, whole or not at all.

        ``vocab_size`` in ``config.json``, the totals of a sharded model's index, and
        the ids of pad, bos, eos and other tokens in both configs are updated; the id of
        a removed token becomes ``null``. The files of the new tokenizer replace those
        of the old one: copies of the given files, or the files that the object saves; a
        mapping has none. Weights are written as safetensors; weights in other formats
        are not copied, since they have the old table. All other files are copied byte
        for byte.

        Parameters
        ----------
        folder : path
            The new folder.

        Raises
        ------
        WriteError
            If it cannot be written.
        """
        save(
            self._checkpoint,
            self.tensors,
            len(self.start),
            self._ids(),
            self._new.write,
            Path(folder),
        )

    def _ids(self) -> NewIds | None:
        """Return the new ids in configs; ``None`` if all stay."""
        if self._old.vocabulary.ids.items() <= self._new.vocabulary.ids.items():
            return None
        moved = {old: new for new, old in reversed(self._made.copied.items())}
        known = {part: self._new.role(part) for part in self._new.roles}
        return NewIds(moved, {p: id for p, id in known.items() if id is not None})

    def __str__(self) -> str:
        made = ", ".join(f"{n:,} {name}" for name, n in self.counts().items() if n)
        return f"{len(self.start):,} rows of {', '.join(self.tensors)}: {made}."


def transplant(
    model: str | os.PathLike[str],
    old_tokenizer: AnyTokenizer | None = None,
    new_tokenizer: AnyTokenizer | None = None,
    *,
    new_tokens: Iterable[str] | None = None,
    init: str | Method | Iterable[Method] = "pieces",
    static: EmbeddingMatrix | Source | None = None,
    override: EmbeddingMatrix | Source | Mapping[str, Any] | None = None,
    match_norms: bool = False,
    multiple_of: int = 1,
    special: Mapping[str, str] | None = None,
    pieces: Pieces | None = None,
    tensor: str | None = None,
    library: Library | None = None,
) -> Transplanted:
    """Make a model's embedding fit another tokenizer, or more tokens.

    Each stored tensor of the output head gets new rows in the same way, from its own
    rows. A token of the old tokenizer keeps its row, bit for bit. If the two mark words
    differently (``Ġ``, ``▁``, ``##``), tokens are compared by their text or byte.
    Special tokens are compared by name, then by role: pad, bos, eos and so on.

    Parameters
    ----------
    model : path
        A folder with ``config.json`` and safetensors files, as ``save_pretrained``
        writes it, or ``pytorch_model.bin``, which is read and not run.
    old_tokenizer : tokenizer, optional
        The tokenizer of the model; by default the one in its folder. The path of a
        ``tokenizer.json`` or of its folder, a tokenizer of ``tokenizers`` or
        ``transformers``, another object with ``get_vocab()`` and ``tokenize(text)``, or
        a mapping from token to id.
    new_tokenizer : tokenizer, optional
        The new tokenizer of the model.
    new_tokens : list of str, optional
        Instead of a new tokenizer: tokens to add to the old one. All other rows stay,
        also padding rows that are not needed for them.
    init : str or list of str, default "pieces"
        How new rows are made, in the order they are tried, such as "pieces,omp":
        "pieces", the mean of the rows of the old tokens in its text; "omp", the sum of
        shared tokens' rows that is nearest to it in ``static``, by orthogonal matching
        pursuit; "similarity", the mean of shared tokens' rows, weighted by similarity
        in ``static``; "mean", the mean of all old tokens' rows, for all other rows.
    static : EmbeddingMatrix or source, optional
        Vectors of words, or of tokens marked as the new tokenizer marks its own, such
        as a model of the new tokenizer. For "omp" and "similarity".
    override : mapping, EmbeddingMatrix or source, optional
        Your own rows by token, of the dim of the input embedding, for that embedding;
        an untied head gets rows as if there were none.
    match_norms : bool, default False
        Scale each new row to the weighted mean norm of its parts. A mean of rows is
        shorter than the rows.
    multiple_of : int, default 1
        Make the number of rows a multiple of this, with copies of the mean.
    special : mapping, optional
        The old tokens whose rows new tokens get: ``{"[PAD]": "<pad>"}``.
    pieces : callable, optional
        The function from a text to tokens, instead of the old tokenizer's own.
    tensor : str, optional
        The name of the input embedding, if ``formats.tensor_names`` does not have it.
    library : Library, optional
        Opens ``static`` and ``override``, and says how files are read.

    Returns
    -------
    Transplanted
        The new tables, which `Transplanted.save` writes.

    Raises
    ------
    FormatError
        For a model or tokenizer that is damaged or quantised, and for a model without a
        recognised embedding.
    SourceError
        If a file cannot be read.
    ShapeError
        If embedding, config and old tokenizer do not fit each other.
    VocabularyError
        If the new tokenizer's ids have holes, or a token cannot be added.
    OptionError
        For unknown or contradictory options, swapped tokenizers, and an old one that
        contradicts the model's folder.
    MissingPackageError
        If "pieces" of a ``tokenizer.json`` need the package ``tokenizers``.

    Examples
    --------
    >>> made = transplant("llama", None, "new-tokenizer")  # doctest: +SKIP
    >>> made.explain("▁cats").parts  # doctest: +SKIP
    (('▁cat', 0.5), ('s', 0.5))
    >>> made.save("llama-new")  # doctest: +SKIP
    """
    methods = methods_of(init)
    if (new_tokenizer is None) == (new_tokens is None):
        raise OptionError("give new_tokenizer or new_tokens=, one of the two")
    if not isinstance(multiple_of, int) or multiple_of < 1:
        raise OptionError(f"multiple_of={multiple_of!r}: give a number from 1 on")
    folder = Path(model)
    checkpoint = open_saved_model(folder, Library.of(library).read_options)
    inputs = checkpoint.input_names(tensor)
    old = tokenizer.read(folder if old_tokenizer is None else old_tokenizer, pieces)
    if new_tokenizer is None:
        new = tokenizer.grown(old, new_tokens or ())
    else:
        new = tokenizer.read(new_tokenizer)
        _check_holes(new)

    names = list(dict.fromkeys(inputs + checkpoint.output_names()))
    known = checkpoint.tensors()
    tables = {name: _by_row(checkpoint.load(name), name) for name in names}
    _check_sizes(checkpoint, tables, old)
    _check_folder(folder, old, new, old_tokenizer is None)
    made = new_rows(old, new, methods, special or {}, static, library)
    made.match_norms = match_norms
    if override is not None:
        dim = tables[inputs[0]].shape[1]
        made.own = own_rows(override, new, dim, library)
    _pad(made, multiple_of, 0 if new_tokens is None else len(tables[inputs[0]]))
    # A tied head may be stored too; it stays equal to the input.
    first = tables[inputs[0]]
    same = {name for name, table in tables.items() if same_bits(first, table)}
    old_ids = sorted(old.vocabulary.ids.values())
    tensors = {
        name: _shaped(
            made.apply(table, known[name].dtype, old_ids, own=name in same),
            known[name].shape,
            name,
        )
        for name, table in tables.items()
    }
    return Transplanted(checkpoint, old, new, made, tensors, known[inputs[0]].dtype)


def _by_row(tensor: Stored, name: str) -> Stored:
    """Return a tensor as a table, (rows, dim); a bias has one column."""
    return tensor.reshape(-1, 1) if is_bias(name) else tensor


def _shaped(table: Stored, before: tuple[int, ...], name: str) -> Stored:
    """Return a table in the shape of the tensor that it replaces."""
    return table.reshape(*before[:-1], -1) if is_bias(name) else table


def _pad(made: NewRows, multiple_of: int, least: int) -> None:
    """Add rows without tokens; those up to ``least`` are the old ones."""
    tokens = len(made.start)
    rows = max(tokens, least)
    rows += -rows % multiple_of
    padding = np.full(rows - tokens, RowStart.PADDING, np.uint8)
    made.start = np.concatenate([made.start, padding])
    made.copied |= {row: row for row in range(tokens, least)}


def _check_folder(
    folder: Path, old: ModelTokenizer, new: ModelTokenizer, is_own: bool
) -> None:
    """Refuse an old tokenizer that is not that of the model's folder, if it has one."""
    if is_own or not (folder / "tokenizer.json").is_file():
        return
    own = tokenizer.read(folder)
    token = _contradicted(own.vocabulary, old.vocabulary)
    if token is None:
        return
    if _contradicted(own.vocabulary, new.vocabulary) is None:
        raise OptionError(
            f"the tokenizers are swapped: the new one is that of {folder}; give "
            "transplant(model, old_tokenizer, new_tokenizer)"
        )
    raise OptionError(
        f"the old tokenizer is not that of {folder}, whose token {brief(token)} has "
        f"another id: leave it out, transplant(model, None, new_tokenizer), or take "
        f"{folder / 'tokenizer.json'} away if it is not the model's"
    )


def _contradicted(one: Vocabulary, other: Vocabulary) -> str | None:
    """Return a token whose id differs between two vocabularies."""
    at = {id: token for token, id in other.ids.items()}
    for token, id in one.ids.items():
        if other.ids.get(token, id) != id or at.get(id, token) != token:
            return token
    return None


def _check_sizes(
    checkpoint: SavedModel, tables: dict[str, Stored], old: ModelTokenizer
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
