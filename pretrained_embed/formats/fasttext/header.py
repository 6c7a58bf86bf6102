"""The head of a fastText model: how it was trained, and how large its dictionary is.

::

    head  = [magic version] dim ws epoch minCount neg wordNgrams loss model bucket
            minn maxn [mode hashCount] lrUpdateRate t
            size nwords nlabels ntokens [pruneidx_size]
    magic = 793712314

All are little-endian int32 but ``t`` (binary64), ``ntokens`` and ``pruneidx_size``
(int64). Models from before 2017 have neither magic nor ``pruneidx_size``. floret's
models have ``mode`` and ``hashCount`` and else nothing that tells them apart; only one
of the two ways gives a dictionary whose numbers add up. Defined by ``Args::load`` and
``Dictionary::load``, https://github.com/facebookresearch/fastText, and the same of
https://github.com/explosion/floret
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats.marks import FASTTEXT
from pretrained_embed.formats.subwords.sums import LONGEST_NGRAM

#: Bytes that hold any head.
HEAD_LIMIT = 4 * 16 + 8 + 12 + 16

_LAST_VERSION = 12
_ARGS = ("dim", "window", "epochs", "min_count", "negatives", "word_n", "loss", "model")
_NGRAMS = ("bucket", "min_n", "max_n")
_HASHING = ("mode", "hash_count")
_MODELS = {1: "cbow", 2: "skipgram", 3: "supervised"}
_LOSSES = {1: "hierarchical softmax", 2: "negative sampling", 3: "softmax"}
_LOSSES[4] = "one-vs-all"
_MODE_FLORET = 2
_LARGEST_DIM = 1 << 20  # far beyond any use


class Head(NamedTuple):
    """What the head says, and where the dictionary's entries begin."""

    version: int  # 0: from before there were versions
    args: dict[str, int]
    entries: int
    words: int
    labels: int
    tokens: int  # of the text it was trained on
    pruned: int  # n-gram rows that were kept; -1: all of them
    length: int  # bytes of the head

    @property
    def dim(self) -> int:
        """Values of a vector."""
        return self.args["dim"]

    @property
    def max_n(self) -> int:
        """Characters of the longest n-gram; 0 where there are none."""
        # fastText's rule: they were not given n-grams when that version was current
        if self.version == 11 and self.model == "supervised":
            return 0
        return self.args["max_n"]

    @property
    def model(self) -> str:
        """What was trained."""
        return _MODELS[self.args["model"]]

    @property
    def hash_count(self) -> int:
        """Rows of each n-gram in floret's way of hashing; 0 in fastText's."""
        floret = self.args.get("mode") == _MODE_FLORET
        return self.args["hash_count"] if floret else 0

    def facts(self) -> dict[str, object]:
        """Return what is worth telling, as JSON holds it."""
        return {
            "model": self.model,
            "loss": _LOSSES[self.args["loss"]],
            "version": self.version,
            "min_n": self.args["min_n"],
            "max_n": self.max_n,
            "bucket": self.args["bucket"],
            "hash_count": self.hash_count or None,
            "word_n": self.args["word_n"],
            "window": self.args["window"],
            "epochs": self.args["epochs"],
            "min_count": self.args["min_count"],
            "words": self.words,
            "labels": self.labels,
            "training_tokens": self.tokens,
        }


def parse_head(raw: bytes, where: str) -> Head | None:
    """Parse the first bytes of a model, `HEAD_LIMIT` of them or all there are.

    ``None``: this is no model of fastText or floret. Raises `TruncatedError` for one
    that ends here, and `FormatError` for one that this package cannot read or whose
    numbers make no sense.
    """
    if not raw.startswith(FASTTEXT):
        return _parse(raw, 0, 0, _ARGS + _NGRAMS, pruning=False)
    version = int.from_bytes(raw[4:8], "little")
    if version > _LAST_VERSION:
        raise FormatError(
            f"{where}: a fastText model of version {version}; this release reads "
            f"versions up to {_LAST_VERSION}"
        )
    if len(raw) < HEAD_LIMIT:  # no model is as short as that
        raise TruncatedError(f"{where}: ends within its head; get the file again")
    for names in (_ARGS + _NGRAMS, _ARGS + _NGRAMS + _HASHING):
        head = _parse(raw, 8, version, names, pruning=True)
        if head is not None:
            return head
    raise FormatError(
        f"{where}: begins as a fastText model does, but the numbers of its head do not "
        "fit each other; the file is damaged or cut, get it again"
    )


def _parse(
    raw: bytes, start: int, version: int, names: tuple[str, ...], *, pruning: bool
) -> Head | None:
    layout = struct.Struct(f"<{len(names)}i i d 3i q" + " q" * pruning)
    if len(raw) < start + layout.size:
        return None
    numbers = layout.unpack_from(raw, start)
    args = dict(zip(names, numbers, strict=False))
    _, sampling, entries, words, labels, tokens, *pruned = numbers[len(names) :]
    head = Head(
        version,
        args,
        entries,
        words,
        labels,
        tokens,
        pruned[0] if pruning else -1,
        start + layout.size,
    )
    return head if _makes_sense(head, sampling) else None


def _makes_sense(head: Head, sampling: float) -> bool:
    args = head.args
    return (
        1 <= head.dim <= _LARGEST_DIM
        and args["model"] in _MODELS
        and args["loss"] in _LOSSES
        and args["bucket"] >= 0
        and args["min_n"] <= LONGEST_NGRAM
        and args["max_n"] <= LONGEST_NGRAM
        and args.get("mode", 1) in (1, _MODE_FLORET)
        and 1 <= args.get("hash_count", 1) <= 4
        and 0 <= sampling < float("inf")
        and head.words >= 0 <= head.labels
        and head.entries == head.words + head.labels > 0
        and head.tokens >= 0
        and head.pruned >= -1
    )
