"""The way back: the table of a trained layer as a matrix."""

from __future__ import annotations

from dataclasses import replace

from pretrained_embed.adapters._shapes import check_shape
from pretrained_embed.arrays import Float32Array
from pretrained_embed.errors import OptionError, ShapeError, VocabularyError, brief
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary


def trained_matrix(
    table: Float32Array,
    vocabulary: Vocabulary,
    layer: object,
    started_from: EmbeddingMatrix | None,
) -> EmbeddingMatrix:
    """Return ``table`` (rows, dim), the caller's no more, as a matrix.

    Its provenance says what kind of ``layer`` it was trained in and, where that is
    known, the provenance of the matrix the training began with, whose row ledger it
    keeps. Raises `ShapeError` if the three differ in shape, and `VocabularyError` if
    the training moved the pad row.
    """
    if table.ndim != 2 or len(table) != len(vocabulary):
        raise ShapeError(
            f"the table of the layer has shape {table.shape}, but the vocabulary "
            f"{len(vocabulary)} rows: give the vocabulary the layer was made for"
        )
    kind = type(layer)
    provenance: dict[str, object] = {
        "trained_in": f"{kind.__module__}.{kind.__qualname__}"
    }
    ledger = Ledger(vocabulary)
    if started_from is not None:
        check_shape(started_from.shape, table.shape, "the table of the layer")
        ledger = started_from.ledger.with_vocabulary(vocabulary)
        provenance["trained_from"] = started_from.provenance
    pad = vocabulary.pad_id
    if pad is not None and table[pad].any():
        raise VocabularyError(
            f"row {pad}, of the pad token {brief(vocabulary.pad_token)}, is not zeros: "
            "it was trained, by an output that shares the table or in a layer that "
            "does not keep its gradient out; zero it, or take a vocabulary with "
            "pad=None"
        )
    table.flags.writeable = False  # handed over, so that the matrix need not copy it
    return EmbeddingMatrix(table, replace(ledger, provenance=provenance))


def not_a_layer(layer: object, kinds: str) -> OptionError:
    """Return the error for a ``layer`` that has no table of the ``kinds`` known."""
    return OptionError(f"{type(layer).__name__} is not {kinds}")
