"""Finding out how a word2vec binary file is laid out, from its first rows.

Its header says no more than ``count dim``. Whether an LF follows each vector and how
wide its numbers are is seen by taking rows apart: with the right width tokens come out,
with a wrong one bytes of numbers. All but a few files have single precision, which is
assumed where nothing tells.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: What numbers can be, in the order of likelihood.
DTYPES = ("<f4", "<f8", "<f2")

#: Rows looked at to find out what follows each vector and what its numbers are, and
#: how few of them tell nothing of that.
_SAMPLE_ROWS, _TELLING_ROWS = 64, 2
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_LONGEST_HEADER = 64
#: Bytes looked at to tell numbers from text, and how few of them tell nothing.
_TELLING, _TOO_FEW = 4096, 128
_TEXT = bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100)) + b"\t\n\r"
_LF, _SPACE = b"\n", b" "


class Layout(NamedTuple):
    """How the rows of one binary file are built."""

    rows: int  # as the header declares
    dim: int
    skip: int  # bytes of the header
    newline: bool  # an LF follows each vector
    dtype: str  # of the numbers; nothing in the file tells

    @property
    def slots(self) -> int:
        """Bytes of a vector, counted in those of a float32."""
        return self.dim * int(self.dtype[-1]) // 4


def is_binary(head: bytes) -> bool:
    """Whether the first bytes are those of a binary file, given that it is no text."""
    layout = find_layout(head)
    if layout is None:
        return False
    rows = head[layout.skip : layout.skip + _TELLING]
    return len(rows) < _TOO_FEW or rows.translate(None, _TEXT) != b""


def find_layout(head: bytes) -> Layout | None:
    """Return the layout of a file that begins with ``head``, ``None`` if no header."""
    line, lf, _ = head[:_LONGEST_HEADER].partition(_LF)
    fields = line.removesuffix(b"\r").split()
    if not lf or len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    count, dim = int(fields[0]), int(fields[1])
    if dim < 1:
        return None
    skip = len(line) + 1
    for dtype in DTYPES:
        tokens, newline = _sample(head, skip, dim * int(dtype[-1]))
        if dim * int(dtype[-1]) % 4 == 0 and _are_tokens(tokens):
            return Layout(count, dim, skip, newline, dtype)
    return Layout(count, dim, skip, _sample(head, skip, 4 * dim)[1], DTYPES[0])


def _sample(head: bytes, position: int, size: int) -> tuple[list[bytes], bool]:
    """Return the first tokens if vectors have ``size`` bytes, and if LFs follow all."""
    tokens, after = [], []
    for _ in range(_SAMPLE_ROWS):
        space = head.find(_SPACE, position)
        end = space + 1 + size
        if space < 0 or end > len(head):
            break
        tokens.append(head[position:space])
        if end < len(head):
            after.append(head[end : end + 1] == _LF)
        position = end + (bool(after) and after[-1])
    return tokens, bool(after) and all(after)


def _are_tokens(sample: list[bytes]) -> bool:
    """Whether these are tokens: bytes of numbers are seldom UTF-8 twice in a row."""
    try:
        text = b" ".join(sample).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return len(sample) >= _TELLING_ROWS and not _CONTROLS.search(text)
