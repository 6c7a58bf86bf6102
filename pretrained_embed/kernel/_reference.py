"""The kernel in plain Python and numpy: the specification of ``_kernel.c``.

What these functions do is what the kernel means. The C file is held to the same
results, bit for bit, by the test suite; where no compiler was at hand this file does
the work.

A line of text
    A line ends at LF (0x0A) and nowhere else. One CR before the LF is dropped, then
    all trailing spaces and separators. The last ``dim`` fields are the vector: single
    ``separator`` bytes part them from each other, and one ``delimiter`` byte (nearly
    always the same byte) parts the first of them from the token. All before that is
    the token, whatever it holds. Where the delimiter is another byte, its last one in
    the line shows where the vector begins. Neither is an LF or part of a number.

A number
    What Python's ``float`` reads, less what only Python would call a number: an
    optional sign; then ASCII digits with at most one point, at least one digit, and
    an optional ``e`` or ``E`` with an optional sign and at least one digit; or
    ``inf``, ``infinity`` or ``nan`` in any case. No underscores, no digits of other
    scripts, no white space of any kind, no hexadecimal. Its value is
    ``np.float32(float(text))``: rounded to binary64, then to binary32.

A row of a word2vec binary file
    The token's bytes, one space, ``dim`` little-endian binary32 numbers. Some writers
    put an LF after each vector: ``newline`` says that one LF before a token is theirs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from mmap import mmap
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = bytes | bytearray | memoryview | mmap
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

IMPLEMENTATION = "reference"

#: Ranks go from 0 to this.
LAST_RANK = 127
#: Value in ``best`` of a row that nothing has claimed yet.
UNCLAIMED = 2**63 - 1
#: A claim is ``rank << RANK_SHIFT | position``: the lowest rank wins, then the first.
RANK_SHIFT = 56

#: Columns of ``hits``: row within this call, offset and length of the token, key.
HIT_COLUMNS = 4
#: Columns of ``faults``: row within this call, kind, what was found, offset of line.
FAULT_COLUMNS = 4

# Kinds of fault. A WIDE row is read all the same: its token ends in a number or in a
# separator, as if the row had one value too many. Only where the delimiter is a byte
# of its own is a row known to be too LONG.
EMPTY, SHORT, NO_TOKEN, BAD_NUMBER, WIDE, LONG = 1, 2, 3, 4, 5, 6

_LF = 0x0A
_NUMBER = re.compile(
    rb"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)",
    re.IGNORECASE,
)
_NO_SEPARATOR = re.compile(rb"[0-9a-z+.\n-]", re.IGNORECASE)


class TextScan(NamedTuple):
    """What one call of `scan_text` did."""

    consumed: int  # offset of the first byte not dealt with
    rows: int  # lines dealt with
    hits: int  # filled rows of `hits` and of `vectors`
    faults: int  # filled rows of `faults`


class BinaryScan(NamedTuple):
    """What one call of `scan_binary` did."""

    consumed: int
    rows: int
    hits: int


class TokenIndex:
    """Wanted tokens and the rows they are wanted for.

    ``tokens`` are ``bytes`` or ``str`` (encoded as UTF-8 with surrogate escapes);
    ``rows`` int64 and ``ranks`` uint8 have one entry for each. A token may be given
    several times, for several rows. Distinct tokens are numbered in order of first
    appearance; that number is the token's key.
    """

    def __init__(
        self, tokens: Sequence[bytes | str], rows: Int64Array, ranks: UInt8Array
    ) -> None:
        if not len(tokens) == len(rows) == len(ranks):
            raise ValueError("tokens, rows and ranks differ in length")
        self._keys: dict[bytes, int] = {}
        self._wanted: list[list[tuple[int, int]]] = []
        for token, row, rank in zip(tokens, rows.tolist(), ranks.tolist(), strict=True):
            if row < 0 or rank > LAST_RANK:
                raise ValueError(f"a row is negative or a rank above {LAST_RANK}")
            if isinstance(token, str):
                token = token.encode("utf-8", "surrogateescape")
            key = self._keys.setdefault(token, len(self._wanted))
            if key == len(self._wanted):
                self._wanted.append([])
            self._wanted[key].append((row, rank))

    def __len__(self) -> int:
        """Return the number of distinct tokens."""
        return len(self._wanted)

    def key(self, token: bytes) -> int:
        """Return the token's key, or -1."""
        return self._keys.get(token, -1)

    def wanted(self, key: int) -> list[tuple[int, int]]:
        """Return the (row, rank) pairs of a key, in the order given."""
        return list(self._wanted[key])


def _value(field: bytes) -> float | None:
    return float(field) if _NUMBER.fullmatch(field) else None


def number(field: Bytes) -> float | None:
    """Return the binary32 value of a number as a Python float, or ``None``."""
    value = _value(bytes(field))
    if value is None:
        return None
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _separator(byte: int) -> bytes:
    if not 0 <= byte <= 255 or _NO_SEPARATOR.fullmatch(bytes([byte])):
        raise ValueError("a separator is no byte, a line end or part of a number")
    return bytes([byte])


def _split(line: bytes, dim: int, sep: bytes, delim: bytes) -> tuple[bytes, int, int]:
    """Return the token of a trimmed line, its fault or 0, and what was found."""
    if not line:
        return b"", EMPTY, 0
    if sep != delim:
        token, _, vector = line.rpartition(delim)
        values = vector.count(sep) + bool(vector)
        if values != dim:
            return b"", SHORT if values < dim else LONG, values
        return token, 0 if token else NO_TOKEN, 0
    count = line.count(sep)
    if count < dim:
        return b"", SHORT, count
    token = line.rsplit(sep, dim)[0]
    if not token:
        return b"", NO_TOKEN, 0
    if count > dim:
        last = token[token.rfind(sep) + 1 :]
        if not last or _NUMBER.fullmatch(last):
            return token, WIDE, count
    return token, 0, 0


def scan_text(
    index: TokenIndex | None,
    data: Bytes,
    start: int,
    stop: int,
    final: bool,
    dim: int,
    separator: int,
    delimiter: int,
    hits: Int64Array,
    vectors: Float32Array,
    faults: Int64Array,
) -> TextScan:
    """Scan the lines that lie whole in ``data[start:stop]``.

    With ``final`` the bytes after the last LF are a line too. A line whose token is in
    ``index`` (any line, where ``index`` is ``None``: its key is then -1) and whose
    numbers are all good becomes a hit; its vector goes into the same row of
    ``vectors``. The structure of every line is checked, the numbers of hits alone.
    Stops early, before a line, when ``hits`` or ``faults`` has no room left.
    """
    text = bytes(memoryview(data)[start:stop])
    sep, delim = _separator(separator), _separator(delimiter)
    trimmed = b" " + sep
    position = rows = n_hits = n_faults = 0
    while position < len(text):
        end = text.find(b"\n", position)
        if end < 0:
            if not final:
                break
            end = len(text)
        if n_hits == len(hits) or n_faults == len(faults):
            break
        line = text[position:end]
        line = (line[:-1] if line.endswith(b"\r") else line).rstrip(trimmed)

        token, fault, found = _split(line, dim, sep, delim)
        if fault in (0, WIDE):
            key = -1 if index is None else index.key(token)
            if index is None or key >= 0:
                fields = line[len(token) + 1 :].split(sep)
                values = [_value(field) for field in fields]
                if None in values:
                    fault, found = BAD_NUMBER, values.index(None) + 1
                else:
                    with np.errstate(over="ignore"):
                        vectors[n_hits] = np.array(values, np.float64)
                    hits[n_hits] = rows, start + position, len(token), key
                    n_hits += 1
        if fault:
            faults[n_faults] = rows, fault, found, start + position
            n_faults += 1
        rows += 1
        position = min(end + 1, len(text))
    return TextScan(start + position, rows, n_hits, n_faults)


def scan_binary(
    index: TokenIndex | None,
    data: Bytes,
    start: int,
    stop: int,
    dim: int,
    newline: bool,
    hits: Int64Array,
    vectors: Float32Array,
) -> BinaryScan:
    """Scan the rows of a word2vec binary file that lie whole in ``data[start:stop]``.

    Hits and vectors as in `scan_text`. Stops early when ``hits`` has no room left.
    """
    raw = bytes(memoryview(data)[start:stop])
    position = rows = n_hits = 0
    while position < len(raw) and n_hits < len(hits):
        token_start = position + (newline and raw[position] == _LF)
        token_end = raw.find(b" ", token_start)
        after = token_end + 1 + 4 * dim
        if token_end < 0 or after > len(raw):
            break
        key = -1 if index is None else index.key(raw[token_start:token_end])
        if index is None or key >= 0:
            vectors[n_hits] = np.frombuffer(raw, "<f4", dim, token_end + 1)
            length = token_end - token_start
            hits[n_hits] = rows, start + token_start, length, key
            n_hits += 1
        rows += 1
        position = after
    return BinaryScan(start + position, rows, n_hits)


def place(
    index: TokenIndex,
    hits: Int64Array,
    count: int,
    vectors: Float32Array,
    base: int,
    best: Int64Array,
    seen: UInt8Array,
    out: Float32Array,
) -> None:
    """Write the first ``count`` hits into the rows of ``out`` they win.

    A hit's position is ``base`` plus its row within the call. It wins a row if its
    claim is below the one in ``best``, which it then replaces. ``seen`` (uint8, one
    for each key) is set to 1 for every key met. Calls must not overlap in time.
    """
    for i in range(count):
        row_in_call, _, _, key = hits[i].tolist()
        if row_in_call < 0 or not 0 <= key < len(index):
            raise ValueError("a hit is not one of this index")
        seen[key] = 1
        for row, rank in index.wanted(key):
            claim = rank << RANK_SHIFT | (base + row_in_call)
            if claim < best[row]:
                best[row] = claim
                out[row] = vectors[i]


def find_rows(
    index: TokenIndex,
    data: Bytes,
    offsets: Int64Array,
    base: int,
    best: Int64Array,
    seen: UInt8Array,
) -> int:
    """Claim rows for a list of tokens, ``data[offsets[i]:offsets[i + 1]]`` each.

    Token ``i`` stands at position ``base + i``. Claims and ``seen`` as in `place`;
    no vectors are moved. Returns how many tokens of the list are in ``index``.
    """
    raw = bytes(data)
    ends = offsets.tolist()
    found = 0
    for i, (begin, end) in enumerate(pairwise(ends)):
        if not 0 <= begin <= end <= len(raw):
            raise ValueError("offsets do not ascend within the data")
        key = index.key(raw[begin:end])
        if key < 0:
            continue
        found += 1
        seen[key] = 1
        for row, rank in index.wanted(key):
            best[row] = min(int(best[row]), rank << RANK_SHIFT | (base + i))
    return found
