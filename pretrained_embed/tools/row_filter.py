"""Which rows of a source go on, and what there is to say of them."""

from __future__ import annotations

from collections.abc import Iterator

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.formats import HOLES, PackedBlock, RowStream
from pretrained_embed.vocabulary import Vocabulary


class RowFilter:
    """Lets the rows through that are asked for, and counts them.

    Those are, with a ``vocabulary``, the rows of its tokens but the pad, and with
    ``drop`` the first row of each token. Holds the tokens that came.
    """

    def __init__(self, vocabulary: Vocabulary | None, *, drop: bool) -> None:
        self.rows = 0
        self.duplicates = 0
        self._seen: set[bytes] = set()
        self._drop = drop
        self._wanted: set[bytes] | None = None
        if vocabulary is not None:
            pad = vocabulary.pad_token
            tokens = [t for t in vocabulary.tokens if t is not None and t != pad]
            self._wanted = set(PackedTokens.pack(tokens).split())

    @property
    def chooses(self) -> bool:
        """Whether it may leave rows out."""
        return self._drop or self._wanted is not None

    def through(self, rows: RowStream) -> Iterator[PackedBlock]:
        """Yield the rows that pass."""
        listed = rows.arrays.get(HOLES)
        holes = set() if listed is None else set(listed.tolist())
        for block in rows.blocks:
            passed = self._chosen(block) if self.chooses else block
            if not self._drop:
                self._count(passed.tokens.split(), holes)
            self.rows += len(passed.tokens)
            if len(passed.tokens):
                yield passed

    def missing(self) -> list[str]:
        """Return the tokens that were asked for and did not come."""
        left = (self._wanted or set()) - self._seen
        return sorted(PackedTokens.join(list(left)).unpack())

    def _chosen(self, block: PackedBlock) -> PackedBlock:
        rows, chosen = [], []
        for row, token in enumerate(block.tokens.split()):
            if self._wanted is not None and token not in self._wanted:
                continue
            if self._drop and token in self._seen:
                self.duplicates += 1
                continue
            if self._drop:
                self._seen.add(token)
            rows.append(row)
            chosen.append(token)
        return PackedBlock(PackedTokens.join(chosen), block.vectors[rows])

    def _count(self, tokens: list[bytes], holes: set[int]) -> None:
        if holes:
            rows = enumerate(tokens, self.rows)
            tokens = [token for row, token in rows if row not in holes]
        before = len(self._seen)
        self._seen.update(tokens)
        self.duplicates += before + len(tokens) - len(self._seen)
