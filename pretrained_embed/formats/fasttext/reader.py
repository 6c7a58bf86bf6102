"""Models of fastText and floret: ``.bin``, and quantised ``.ftz``.

::

    file = head dictionary matrices

`header`, `dictionary` and `matrix` give the grammar of each,
`subwords` what a token's vector is. The file is mapped: only the rows of the wanted
words and of their n-grams are read. Any other token can be composed of its n-grams.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from pretrained_embed.arrays import (
    BoolArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    Progress,
)
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.blocks import PackedBlock
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.fasttext.dictionary import (
    Dictionary,
    Pruned,
    picked,
    read_dictionary,
)
from pretrained_embed.formats.fasttext.header import HEAD_LIMIT, Head, parse_head
from pretrained_embed.formats.fasttext.matrix import Matrices, read_matrices
from pretrained_embed.formats.findings import Findings, Note
from pretrained_embed.formats.local import map_file, open_local
from pretrained_embed.formats.parallel import thread_count
from pretrained_embed.formats.reader import ByteStream, OnBadRow, Reader, Selection
from pretrained_embed.formats.subwords.sums import (
    TOKENS_AT_ONCE,
    Cutting,
    FastTextCutting,
    FloretCutting,
    Pieces,
    composed,
    means,
)
from pretrained_embed.kernel import TokenIndex

NAME = "fasttext-binary"

_BLOCK_ROWS = 1 << 13
#: Labels that the facts name.
_EXAMPLES = 10


def open_reader(stream: ByteStream) -> FastTextReader | None:
    """Map a model and read its dictionary.

    Raises `UnknownFormatError` if it is none, `FormatError` if it contradicts itself,
    `TruncatedError` if it ends too early and `SourceError` if it cannot be read.
    """
    where = stream.name
    with open_local(stream) as opened:
        opened.seek(0)
        head = parse_head(opened.read(HEAD_LIMIT), where)
        if head is None:
            return None
        file = cast(mmap.mmap, map_file(opened))  # bytes have what is used of it
    dictionary = read_dictionary(file, head, where)
    matrices = read_matrices(
        file, dictionary.end, where, flags=head.version > 0, dim=head.dim
    )
    buckets = head.args["bucket"] if head.pruned < 0 else head.pruned
    if matrices.rows < head.words + buckets:
        raise FormatError(
            f"{where}: its matrix has {matrices.rows:,} rows, fewer than its "
            f"{head.words:,} words and {buckets:,} buckets; the file is damaged, get "
            "it again"
        )
    return FastTextReader(where, head, dictionary, matrices)


class FastTextReader(Reader):
    """Reads words out of a model, and composes other tokens. See `Reader`.

    Vectors are those of fastText's ``getWordVector``, to the bit. Labels of a
    supervised model are no tokens; the facts tell of them.
    """

    format = NAME

    def __init__(
        self, name: str, head: Head, dictionary: Dictionary, matrices: Matrices
    ) -> None:
        self.name = name
        self.dim = head.dim
        self.count = head.words
        self._words = dictionary.words
        self._source = matrices.source
        self._cutting = ModelCutting(head, dictionary.pruned)
        self.composes = self._cutting.cuts
        self.facts = {
            **head.facts(),
            "quantised": matrices.quantised,
            "pruned": dictionary.pruned is not None,
            "first_labels": dictionary.labels[:_EXAMPLES].unpack(),
        }
        self._notes = list(matrices.notes)
        if head.labels:
            what = f"{head.labels:,} labels, which are no tokens"
            self._notes.append(Note("file.left-out", what))
        self._findings = Findings()

    @property
    def findings(self) -> Findings:
        """What the last complete pass over the dictionary found."""
        return self._findings

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield all words, in the order of the dictionary. See `Reader`."""
        count = len(self._words)
        for start in range(0, count, _BLOCK_ROWS):
            words = np.arange(start, min(start + _BLOCK_ROWS, count))
            vectors = np.empty((len(words), self.dim), np.float32)
            self._read(words, vectors, thread_count(threads))
            yield PackedBlock(self._words[start : start + len(words)], vectors)
            if progress is not None:
                progress(self._bytes(start + len(words)), self._bytes(count))
        self._findings = self._found(0)

    def select(
        self,
        index: TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Write the vector of each wanted token into its row. See `Reader`."""
        threads = thread_count(threads)
        claims = Claims(index, len(out))
        claims.find(self._words.data, self._words.offsets)
        source_rows = claims.positions()
        targets = np.flatnonzero(source_rows[: len(out)] >= 0)
        for start in range(0, len(targets), TOKENS_AT_ONCE):
            chosen = targets[start : start + TOKENS_AT_ONCE]
            vectors = np.empty((len(chosen), self.dim), np.float32)
            self._read(source_rows[chosen], vectors, threads)
            out[chosen] = vectors
            if progress is not None:
                done = self._bytes(start + len(chosen))
                progress(done, self._bytes(len(targets)))
        self._findings = self._found(claims.duplicates)
        return Selection(source_rows, claims.ranks(), self._findings)

    def compose(self, tokens: Sequence[str], out: Float32Array) -> BoolArray:
        """Write vectors made of n-grams. See `Reader`.

        They are fastText's for tokens that its dictionary does not hold.
        """
        if not self.composes:
            return super().compose(tokens, out)
        packed = PackedTokens.pack(tokens)
        threads = thread_count(None)
        return composed(packed, self._cutting, self._source, out, threads=threads)

    def _read(self, words: Int64Array, out: Float32Array, threads: int) -> None:
        offsets = self._words.offsets
        tokens = picked(self._words.data, offsets[words], offsets[words + 1])
        pieces = self._cutting.of_words(words, tokens)
        means(pieces, self._source, out, threads=threads)

    def _bytes(self, rows: int) -> int:
        return 4 * self.dim * rows

    def _found(self, duplicates: int) -> Findings:
        rows = len(self._words)
        return Findings(rows=rows, duplicates=duplicates, notes=list(self._notes))


class ModelCutting:
    """Cuts tokens into the rows of a model's matrix.

    First come the rows of the words, then the buckets, of which pruning keeps some.
    """

    def __init__(self, head: Head, pruned: Pruned | None) -> None:
        min_n, max_n = head.args["min_n"], head.max_n
        bucket, hashes = head.args["bucket"], head.hash_count
        self._cut: Cutting = FastTextCutting(min_n, max_n, bucket)
        if hashes:
            self._cut = FloretCutting(min_n, max_n, bucket, hashes)
        #: Whether any token has pieces besides the word itself.
        self.cuts = bucket > 0 and (hashes > 0 or max_n >= max(min_n, 1))
        self.cuts = self.cuts and (pruned is None or len(pruned.rows) > 0)
        self._pruned = pruned
        self._words = head.words
        # floret keeps rows of words, but uses the first alone: that of </s>
        self._own_rows = 1 if hashes else head.words

    def __call__(self, tokens: PackedTokens) -> Pieces:
        """Return the rows of the n-grams of tokens."""
        if not self.cuts:
            return Pieces(np.empty(0, np.int64), np.zeros(len(tokens), np.int64))
        pieces = self._cut(tokens)
        if self._pruned is not None:
            pieces = _kept(pieces, self._pruned)
        return Pieces(pieces.rows + self._words, pieces.counts)

    def of_words(self, words: Int64Array, tokens: PackedTokens) -> Pieces:
        """Return the rows of words: their own first."""
        pieces = self(tokens)
        own = words < self._own_rows
        firsts = np.cumsum(pieces.counts) - pieces.counts
        rows = np.insert(pieces.rows, firsts[own], words[own])
        return Pieces(rows, pieces.counts + own)


def _kept(pieces: Pieces, pruned: Pruned) -> Pieces:
    """Return the pieces that pruning left, as rows behind those of the words."""
    places = np.searchsorted(pruned.buckets, pieces.rows)
    places[places == len(pruned.buckets)] = 0
    kept = pruned.buckets[places] == pieces.rows
    before = np.append(0, np.cumsum(kept))
    ends = np.cumsum(pieces.counts)
    counts = before[ends] - before[ends - pieces.counts]
    return Pieces(pruned.rows[places[kept]], counts)
