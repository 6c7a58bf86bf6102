"""Rows whose tokens are in base64 behind ``B64:``, as deeplearning4j writes them.

It does so that a token may hold blanks. Written by ``WordVectorSerializer``,
https://github.com/deeplearning4j/deeplearning4j
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator

import numpy as np

from pretrained_embed.arrays import Float32Array, PackedTokens, Progress
from pretrained_embed.formats.blocks import PackedBlock, gathered
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.findings import Findings
from pretrained_embed.formats.reader import WHOLE, OnBadRow, Reader, Selection
from pretrained_embed.kernel import TokenIndex

_MARK = b"B64:"
_BLOCK_SIZE = 1 << 22


class Base64Reader(Reader):
    """Reads the rows of another reader, with decoded tokens. See `Reader`.

    A token that is no base64 stays as it stands.
    """

    def __init__(self, encoded: Reader) -> None:
        self.format, self.name = encoded.format, encoded.name
        self.dim, self.count, self.dtype = encoded.dim, encoded.count, encoded.dtype
        self._encoded = encoded
        self._findings = Findings()

    @property
    def findings(self) -> Findings:
        """What the last complete pass over the file found."""
        return self._findings

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield all rows in file order. See `Reader`."""
        scan = self._encoded.scan(WHOLE, None, on_bad_row)
        for block in gathered((hit.block() for hit in scan.run(progress)), _BLOCK_SIZE):
            yield block._replace(tokens=_decoded(block.tokens))
        self._findings = self._encoded.total([scan.report()])

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
        claims = Claims(index, len(out))
        scan = self._encoded.scan(WHOLE, None, on_bad_row)
        rows, read = [np.zeros(0, np.int64)], 0
        for hit in scan.run(progress):
            block = hit.block()
            tokens = _decoded(block.tokens)
            claims.find(tokens.data, tokens.offsets, read)
            place = claims.positions()[: len(out)] - read
            won = np.flatnonzero(place >= 0)
            out[won] = block.vectors[place[won]]
            rows.append(hit.rows_before + hit.hits[: hit.size, 0])
            read += hit.size
        findings = self._encoded.total([scan.report()])
        findings.duplicates = claims.duplicates
        self._findings = findings
        positions, in_file = claims.positions(), np.concatenate(rows)
        found = positions >= 0
        positions[found] = in_file[positions[found]]
        return Selection(positions, claims.ranks(), findings)

    def close(self) -> None:
        """Release what the reader holds open."""
        self._encoded.close()


def is_encoded(token: bytes) -> bool:
    """Whether a token is in base64."""
    return token.startswith(_MARK) and _decode(token) != token


def _decoded(tokens: PackedTokens) -> PackedTokens:
    return PackedTokens.join([_decode(token) for token in tokens.split()])


def _decode(token: bytes) -> bytes:
    if not token.startswith(_MARK):
        return token
    try:
        decoded = binascii.a2b_base64(token[len(_MARK) :])
    except binascii.Error:
        return token
    same = binascii.b2a_base64(decoded, newline=False) == token[len(_MARK) :]
    return decoded if same else token
