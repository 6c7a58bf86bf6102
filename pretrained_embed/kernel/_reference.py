"""The kernel in plain Python and numpy: the specification of ``_kernel.c``.

These functions define the kernel. The test suite checks that the C file has the same
results, bit for bit. Without a compiler this file is used.

A line of text
    A line ends at LF (0x0A) and nowhere else. The CRs before the LF are dropped, then
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
    put an LF after each vector: LFs before a token are left out.

A doubtful row of a word2vec binary file
    Its token may hold a blank: its vector begins with text up to a blank, or is all
    text, and one of its first ``DOUBT_NUMBERS`` numbers is not zero and has an exponent
    (biased, as it is stored) below ``low`` or above ``high``. Text are all bytes but
    the controls; a tab is text.

The hash of a token
    Goes to disk, so it is the same on all machines and in all versions. Of a token of
    ``n`` bytes, in whole numbers modulo 2**64: ``h = 0x9e3779b97f4a7c15 * (n + 1)``;
    for each word ``x`` of the token, ``h = mix(h, x)``; at last ``mix(h, h >> 29)``.
    ``mix(h, x)`` is ``m ^ m >> 32`` with ``m = (h ^ x) * 0x9fb21c651e98df25``.
    The words, little-endian: with 8 bytes or more, the 8 bytes at 0, 8, 16, ... as long
    as that is below ``n - 8``, then the last 8; with 4 to 7, the first 4 bytes and,
    above them, the last 4; with 1 to 3, the bytes at 0, ``n // 2`` and ``n - 1``; with
    none, no word.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from mmap import mmap
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from pretrained_embed.arrays import (
    Float32Array,
    Int64Array,
    UInt8Array,
    UInt32Array,
    UInt64Array,
)

Bytes = bytes | bytearray | memoryview | mmap

IMPLEMENTATION = "reference"

#: Ranks go from 0 to this.
LAST_RANK = 127
#: Value in ``best`` of a row that nothing has claimed yet.
UNCLAIMED = 2**63 - 1
#: A claim is ``rank << RANK_SHIFT | position``: the lowest rank wins, then the first.
RANK_SHIFT = 56

#: Columns of ``hits``: row within this call, offset and length of the token, key.
HIT_COLUMNS = 4

#: Numbers of a vector by which its row is found doubtful.
DOUBT_NUMBERS = 16
#: Columns of ``faults``: row within this call, kind, what was found, offset of line.
FAULT_COLUMNS = 4

# Kinds of fault. A WIDE row is read all the same: its token ends in a number or in a
# separator, as if the row had one value too many. Only where the delimiter is a byte
# of its own is a row known to be too LONG.
# So is one with an ODD_TOKEN, which begins with a byte order mark.
EMPTY, SHORT, NO_TOKEN, BAD_NUMBER, WIDE, LONG, ODD_TOKEN = 1, 2, 3, 4, 5, 6, 7

#: Columns of ``shapes``: see `measure_text`.
SHAPE_COLUMNS = 12
# Kinds of gaps between fields; the last two are mixed, and end in a space or in a tab.
NO_GAP, SPACE, TAB, SPACES, TABS, MIXED_SPACE, MIXED_TAB = range(7)

_LF = 0x0A
_NO_TEXT = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NUMBER = re.compile(
    rb"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)",
    re.IGNORECASE,
)
_ODD_TOKEN = re.compile(rb"\xef\xbb\xbf.", re.DOTALL)
_NO_SEPARATOR = re.compile(rb"[0-9a-z+.\n-]", re.IGNORECASE)


@runtime_checkable
class Packed(Protocol):
    """Tokens as one run of bytes: token i is ``data[offsets[i]:offsets[i + 1]]``."""

    data: UInt8Array
    offsets: Int64Array


class TextProgress(NamedTuple):
    """What one call of `scan_text` did."""

    consumed: int  # offset of the first byte not dealt with
    rows: int  # lines dealt with
    hits: int  # filled rows of `hits` and of `vectors`
    faults: int  # filled rows of `faults`


class BinaryProgress(NamedTuple):
    """What one call of `scan_binary` did."""

    consumed: int
    rows: int
    hits: int
    doubtful: int  # 1: it stopped before a doubtful row


class TokenIndex:
    """Wanted tokens and the rows they are wanted for.

    ``tokens`` are ``bytes`` or ``str`` (encoded as UTF-8 with surrogate escapes), or
    packed; ``rows`` int64 and ``ranks`` uint8 have one entry for each. A token may be
    given several times, for several rows. Distinct tokens are numbered in order of
    first appearance; that number is the token's key.
    """

    def __init__(
        self,
        tokens: Sequence[bytes | str] | Packed,
        rows: Int64Array,
        ranks: UInt8Array,
    ) -> None:
        if isinstance(tokens, Packed):
            tokens = _split_packed(tokens)
        if not len(tokens) == len(rows) == len(ranks):
            raise ValueError("tokens, rows and ranks differ in length")
        self._keys: dict[bytes, int] = {}
        self._wanted: list[list[tuple[int, int]]] = []
        #: One more than the highest row that is wanted.
        self.row_count = int(rows.max(initial=-1)) + 1
        for token, row, rank in zip(tokens, rows.tolist(), ranks.tolist(), strict=True):
            if row < 0 or rank > LAST_RANK:
                raise ValueError(f"a row is negative or a rank above {LAST_RANK}")
            if isinstance(token, str):
                token = token.encode("utf-8", "surrogateescape")
            key = self._keys.setdefault(token, len(self._wanted))
            if key == len(self._wanted):
                self._wanted.append([])
            self._wanted[key].append((row, rank))

    @property
    def nbytes(self) -> int:
        """Bytes of memory the index takes; here an estimate."""
        parts = [self._keys, self._wanted, *self._keys, *self._wanted]
        return sum(map(sys.getsizeof, parts))

    def __len__(self) -> int:
        """Return the number of distinct tokens."""
        return len(self._wanted)

    def key(self, token: bytes) -> int:
        """Return the token's key, or -1."""
        return self._keys.get(token, -1)

    def tokens(self) -> list[bytes]:
        """Return the distinct tokens, in order of key."""
        return list(self._keys)

    def wanted(self, key: int) -> list[tuple[int, int]]:
        """Return the (row, rank) pairs of a key, in the order given."""
        return list(self._wanted[key])


def _split_packed(tokens: Packed) -> list[bytes]:
    raw = bytes(tokens.data)
    _check_offsets(tokens.offsets, len(raw))
    return [raw[begin:end] for begin, end in pairwise(tokens.offsets.tolist())]


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
        before = token.count(sep)
        if 0 < before >= dim - 1 and _holds_row(token, dim, sep, delim):
            return token, WIDE, before + 1 + dim
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
        if count >= 2 * dim and _holds_row(token, dim, sep, delim):
            return token, WIDE, count
    return token, 0, 0


def _holds_row(token: bytes, dim: int, sep: bytes, delim: bytes) -> bool:
    """Whether a token holds the numbers of a row, but for the last.

    That may be glued to what follows, where two lines stand in one.
    """
    run = 0
    for field in token.replace(delim, sep).split(sep)[1:-1]:
        run = run + 1 if _NUMBER.fullmatch(field) else 0
        if run >= dim - 1 > 0:
            return True
    return False


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
) -> TextProgress:
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
        line = line.rstrip(b"\r").rstrip(trimmed)

        token, fault, found = _split(line, dim, sep, delim)
        if fault == 0 and _ODD_TOKEN.match(token):
            fault = ODD_TOKEN
        if fault in (0, WIDE, ODD_TOKEN):
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
    return TextProgress(start + position, rows, n_hits, n_faults)


_WHOLE = re.compile(rb"[+-]?[0-9]+")
_FIELD = re.compile(rb"([ \t]*)([^ \t]+)")


def _kind_of_number(field: bytes) -> int:
    """Return 0 for no number, 1 for a whole one (digits alone), 2 for any other."""
    return 1 if _WHOLE.fullmatch(field) else 2 if _NUMBER.fullmatch(field) else 0


def _kind_of_gap(gap: bytes) -> int:
    if gap in (b"", b" ", b"\t"):
        return {b"": NO_GAP, b" ": SPACE, b"\t": TAB}[gap]
    if len(set(gap)) == 1:
        return SPACES if gap[0] == 0x20 else TABS
    return MIXED_SPACE if gap[-1] == 0x20 else MIXED_TAB


def _shape(line: bytes) -> list[int]:
    """Return the shape of a line, its offsets counted from the line's start."""
    end = numbers = alike = between = before = odd = outer = 0
    left = right = 0  # the first and the last number that is not whole
    front = (0, 0)
    lead = 0
    for found in _FIELD.finditer(line):
        gap, kind = _kind_of_gap(found[1]), _kind_of_number(found[2])
        end = found.end()
        if gap == NO_GAP:
            lead = kind
        if gap == NO_GAP or not kind:
            front = found.span(2)
            numbers = alike = between = before = odd = outer = left = right = 0
            continue
        numbers += 1
        if numbers == 1:
            alike, before, outer = 1, gap, gap
        elif numbers == 2 or gap == between:
            alike, between = alike + 1, gap
        else:
            alike, before, between = 2, between, gap
        odd += numbers > 1 and gap > TAB
        if kind > 1:
            left, right = left or numbers, numbers
    near, far = (numbers + 1 - right, numbers + 1 - left) if left else (0, 0)
    return [
        *(0, end, numbers, alike, between, before),
        *(near, far, *front, lead, outer << 32 | odd),
    ]


def measure_text(
    data: Bytes, start: int, stop: int, final: bool, shapes: Int64Array
) -> tuple[int, int]:
    """Measure the lines that lie whole in ``data[start:stop]``.

    With ``final`` the bytes after the last LF are a line too. Of each line, CRs before
    the LF and spaces and tabs at its end dropped, a row of ``shapes`` gets:

    - where it begins and ends, as offsets;
    - how many numbers it ends in, all spaces and tabs between two fields being one gap;
      a field with which the line begins is none of them;
    - how many of these, from the end, have the same kind of gap between them, that
      kind, and the kind of the gap before the first of them;
    - the places, from the end, of the last and of the first that is not whole, or 0;
    - where the field in front of the numbers begins and ends;
    - whether the field with which the line begins is no number (0), a whole one (1),
      or any other (2);
    - the kind of the gap before the numbers, times 2**32, plus how many of the gaps
      between them are more than one byte.

    Returns the offset of the first byte not dealt with, and how many lines there were.
    Stops early where ``shapes`` has no room left.
    """
    text = bytes(memoryview(data)[start:stop])
    position = rows = 0
    while position < len(text) and rows < len(shapes):
        end = text.find(b"\n", position)
        if end < 0:
            if not final:
                break
            end = len(text)
        shape = _shape(text[position:end].rstrip(b"\r"))
        for place in (0, 1, 8, 9):  # the offsets
            shape[place] += start + position
        shapes[rows] = shape
        rows += 1
        position = min(end + 1, len(text))
    return start + position, rows


def scan_binary(
    index: TokenIndex | None,
    data: Bytes,
    start: int,
    stop: int,
    dim: int,
    known: int,
    low: int,
    high: int,
    hits: Int64Array,
    vectors: Float32Array,
) -> BinaryProgress:
    """Scan the rows of a word2vec binary file that lie whole in ``data[start:stop]``.

    Hits and vectors as in `scan_text`. Stops early when ``hits`` has no room left, and
    before a doubtful row. ``known`` is where in ``data`` the first row's token is known
    to end, so that this row is not doubtful; -1: at its first space, as all others.
    """
    if known >= 0 and not start <= known < stop:
        raise ValueError("no token ends outside of the data")
    raw = bytes(memoryview(data)[start:stop])
    position = rows = n_hits = doubtful = 0
    while position < len(raw) and n_hits < len(hits):
        token_start = position
        until = len(raw) if known < 0 else known - start
        while token_start < until and raw[token_start] == _LF:
            token_start += 1
        token_end = raw.find(b" ", token_start) if known < 0 else until
        after = token_end + 1 + 4 * dim
        if token_end < 0 or after > len(raw):
            break
        if known < 0 and _is_doubtful(raw[token_end + 1 : after], low, high):
            doubtful = 1
            break
        known = -1
        key = -1 if index is None else index.key(raw[token_start:token_end])
        if index is None or key >= 0:
            vectors[n_hits] = np.frombuffer(raw, "<f4", dim, token_end + 1)
            length = token_end - token_start
            hits[n_hits] = rows, start + token_start, length, key
            n_hits += 1
        rows += 1
        position = after
    return BinaryProgress(start + position, rows, n_hits, doubtful)


def _is_doubtful(vector: bytes, low: int, high: int) -> bool:
    text = _NO_TEXT.split(vector, maxsplit=1)[0]
    if b" " not in text and len(text) < len(vector):
        return False
    sizes = np.frombuffer(vector, "<u4")[:DOUBT_NUMBERS] & 0x7FFFFFFF
    exponents = sizes[sizes != 0] >> 23
    return bool(np.any((exponents < low) | (exponents > high)))


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
    claim is below the one in ``best``, which it then replaces. ``out`` may have fewer
    rows than ``best``: the rows beyond it are claimed alone. ``seen`` (uint8, one for
    each key) is set to 1 for every key met. Calls must not overlap in time.
    """
    _check_position(base)
    for i in range(count):
        row_in_call, _, _, key = hits[i].tolist()
        if row_in_call < 0 or not 0 <= key < len(index):
            raise ValueError("a hit is not one of this index")
        _check_position(base + row_in_call)
        seen[key] = 1
        for row, rank in index.wanted(key):
            claim = rank << RANK_SHIFT | (base + row_in_call)
            if claim < best[row]:
                best[row] = claim
                if row < len(out):
                    out[row] = vectors[i]


def _check_position(position: int) -> None:
    if not 0 <= position < 1 << RANK_SHIFT:
        raise ValueError("a position is negative or too large for a claim")


def spread(index: TokenIndex, hits: Int64Array, count: int, pairs: Int64Array) -> int:
    """Write a pair for each row that the first ``count`` hits are wanted for.

    A pair is (number of the hit, row), in order of the hits and, for one hit, in the
    order its rows were given in. ``pairs`` are int64 (room, 2). Returns how many pairs
    there are; those beyond the room are only counted.
    """
    if not 0 <= count <= len(hits):
        raise ValueError("hits do not fit the count")
    total = 0
    for i, (row_in_call, _, _, key) in enumerate(hits[:count].tolist()):
        if row_in_call < 0 or not 0 <= key < len(index):
            raise ValueError("a hit is not one of this index")
        for row, _ in index.wanted(key):
            if total < len(pairs):
                pairs[total] = i, row
            total += 1
    return total


def pack(data: Bytes, hits: Int64Array, count: int, out: UInt8Array) -> int:
    """Copy the tokens of the first ``count`` hits, one behind another, into ``out``.

    Returns how many bytes that were.
    """
    if not 0 <= count <= len(hits):
        raise ValueError("hits do not fit the count")
    raw, written = memoryview(data), 0
    for _, start, length, _ in hits[:count].tolist():
        if not (0 <= start <= len(raw) and 0 <= length <= len(raw) - start):
            raise ValueError("hits do not fit the data")
        if length > len(out) - written:
            raise ValueError("hits do not fit out")
        token = np.frombuffer(raw[start : start + length], np.uint8)
        out[written : written + length] = token
        written += length
    return written


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
    _check_position(base)
    raw = bytes(data)
    ends = offsets.tolist()
    found = 0
    for i, (begin, end) in enumerate(pairwise(ends)):
        _check_position(base + i)
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


def gather(
    source: Float32Array,
    rows: Int64Array,
    targets: Int64Array,
    out: Float32Array,
    weights: UInt32Array | None,
    sums: UInt32Array | None,
) -> None:
    """Copy row ``rows[i]`` of ``source`` to row ``targets[i]`` of ``out``.

    With ``weights``, uint32 (dim,), the sum of the bits of its numbers, as whole
    numbers, each times the weight of its place, modulo 2**32, goes to ``sums[i]``.
    """
    if len(rows) != len(targets) or source.shape[1] != out.shape[1]:
        raise ValueError("rows and targets, or source and out, do not fit each other")
    room = None if sums is None else sums.shape
    if weights is not None and (weights.shape, room) != (source.shape[1:], rows.shape):
        raise ValueError("weights or sums do not fit")
    for numbers, count in ((rows, len(source)), (targets, len(out))):
        if not np.all((numbers >= 0) & (numbers < count)):
            raise ValueError("a row or a target does not exist")
    out[targets] = source[rows]
    if weights is not None and sums is not None:
        sums[:] = np.einsum("ij,j->i", source[rows].view(np.uint32), weights)


def average(
    vectors: Float32Array, rows: Int64Array, offsets: Int64Array, out: Float32Array
) -> None:
    """Write means: row ``i`` of ``out`` is that of ``rows[offsets[i]:offsets[i + 1]]``.

    In binary32: the rows of ``vectors`` are added one by one to zero, and the sum is
    multiplied by one over their number. Where there are none, the row stays as it is.
    """
    if len(offsets) != len(out) + 1 or vectors.shape[1] != out.shape[1]:
        raise ValueError("offsets do not fit out, or vectors do not")
    _check_offsets(offsets, len(rows))
    used = rows[offsets[0] : offsets[-1]]
    if not np.all((used >= 0) & (used < len(vectors))):
        raise ValueError("a row does not exist")
    counts = np.diff(offsets)
    longest = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    have, live = counts[longest], len(longest)
    sums = np.zeros((live, out.shape[1]), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for number in range(int(have.max(initial=0))):
            while have[live - 1] <= number:
                live -= 1
            sums[:live] += vectors[rows[offsets[longest[:live]] + number]]
        sums *= (1.0 / have).astype(np.float32)[:, None]
    out[longest] = sums


def hash_tokens(data: Bytes, offsets: Int64Array, out: UInt64Array) -> None:
    """Write the hash of each packed token to ``out``, uint64 (tokens,).

    Token ``i`` is ``data[offsets[i]:offsets[i + 1]]``.
    """
    raw = np.frombuffer(data, np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    _check_offsets(offsets, len(raw))
    if len(out) != len(lengths):
        raise ValueError("out does not have one place for each token")
    for length in np.unique(lengths).tolist():
        chosen = np.flatnonzero(lengths == length)
        start = _HASH_START * (length + 1) % 2**64
        h = np.full(len(chosen), start, np.uint64)
        for word in _words(raw, starts[chosen], length):
            h = _mix(h, word)
        out[chosen] = _mix(h, h >> np.uint64(29))


_HASH_START = 0x9E3779B97F4A7C15
_HASH_FACTOR = np.uint64(0x9FB21C651E98DF25)


def _mix(h: UInt64Array, x: UInt64Array) -> UInt64Array:
    m = (h ^ x) * _HASH_FACTOR
    return m ^ m >> np.uint64(32)


def _words(raw: UInt8Array, starts: Int64Array, length: int) -> Iterator[UInt64Array]:
    """Yield the words of tokens that all have the same length, one for each token."""

    def load(at: int, dtype: str) -> UInt64Array:
        columns = np.arange(at, at + np.dtype(dtype).itemsize)
        loaded = raw[starts[:, None] + columns].view(dtype)[:, 0]
        words: UInt64Array = loaded.astype(np.uint64)
        return words

    if length >= 8:
        for at in [*range(0, length - 8, 8), length - 8]:
            yield load(at, "<u8")
    elif length >= 4:
        yield load(0, "<u4") | load(length - 4, "<u4") << np.uint64(32)
    elif length:
        yield (
            load(0, "u1")
            | load(length // 2, "u1") << np.uint64(8)
            | load(length - 1, "u1") << np.uint64(16)
        )


def look_up(
    index: TokenIndex,
    starts: Int64Array,
    hashes: UInt64Array,
    rows: Int64Array,
    data: Bytes,
    offsets: Int64Array,
    best: Int64Array,
    seen: UInt8Array,
) -> int:
    """Claim rows for packed tokens, found by an index of their hashes.

    ``starts`` are int64 (2**bits + 1,) with at least 1 bit: the hashes with the highest
    bits ``b`` are ``hashes[starts[b]:starts[b + 1]]``, and ``rows`` says which tokens
    they belong to. A token stands at the position of its number. Claims and ``seen`` as
    in `place`. Returns how many tokens of the list are in ``index``, as `find_rows`
    does.
    """
    bits = (len(starts) - 1).bit_length() - 1
    if bits < 1 or len(starts) != 2**bits + 1 or len(rows) != len(hashes):
        raise ValueError("starts, hashes and rows do not fit each other")
    raw = bytes(data)
    tokens = index.tokens()
    wanted = np.empty(len(tokens), np.uint64)
    ends = np.cumsum([0, *map(len, tokens)], dtype=np.int64)
    hash_tokens(b"".join(tokens), ends, wanted)
    found = 0
    for key, (token, hash_) in enumerate(zip(tokens, wanted, strict=True)):
        bucket = int(hash_) >> (64 - bits)
        start, stop = starts[bucket : bucket + 2].tolist()
        if not 0 <= start <= stop <= len(hashes):
            raise ValueError("starts do not ascend within the hashes")
        for position in rows[start:stop][hashes[start:stop] == hash_].tolist():
            if not 0 <= position < len(offsets) - 1:
                raise ValueError("a row is none of the tokens")
            begin, end = offsets[position : position + 2].tolist()
            if not 0 <= begin <= end <= len(raw):
                raise ValueError("offsets do not ascend within the data")
            if raw[begin:end] != token:
                continue
            found += 1
            seen[key] = 1
            for row, rank in index.wanted(key):
                best[row] = min(int(best[row]), rank << RANK_SHIFT | position)
    return found


def _check_offsets(offsets: Int64Array, size: int) -> None:
    if len(offsets) and not (
        offsets[0] >= 0 and offsets[-1] <= size and np.all(np.diff(offsets) >= 0)
    ):
        raise ValueError("offsets do not ascend within the data")
