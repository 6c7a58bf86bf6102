from collections.abc import Sequence

from pretrained_embed.arrays import (
    Float32Array,
    Int64Array,
    UInt8Array,
    UInt32Array,
    UInt64Array,
)
from pretrained_embed.kernel._reference import Bytes, Packed

IMPLEMENTATION: str
PATH: str  # "avx2", "sse2", "neon" or "scalar": what the loops run on here

class TokenIndex:
    def __init__(
        self,
        tokens: Sequence[bytes | str] | Packed,
        rows: Int64Array,
        ranks: UInt8Array,
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def row_count(self) -> int: ...
    def __len__(self) -> int: ...
    def key(self, token: bytes) -> int: ...
    def wanted(self, key: int) -> list[tuple[int, int]]: ...

def number(field: Bytes) -> float | None: ...
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
) -> tuple[int, int, int, int]: ...
def measure_text(
    data: Bytes, start: int, stop: int, final: bool, shapes: Int64Array
) -> tuple[int, int]: ...
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
) -> tuple[int, int, int, int]: ...
def place(
    index: TokenIndex,
    hits: Int64Array,
    count: int,
    vectors: Float32Array,
    base: int,
    best: Int64Array,
    seen: UInt8Array,
    out: Float32Array,
) -> None: ...
def spread(
    index: TokenIndex, hits: Int64Array, count: int, pairs: Int64Array
) -> int: ...
def pack(data: Bytes, hits: Int64Array, count: int, out: UInt8Array) -> int: ...
def find_rows(
    index: TokenIndex,
    data: Bytes,
    offsets: Int64Array,
    base: int,
    best: Int64Array,
    seen: UInt8Array,
) -> int: ...
def gather(
    source: Float32Array,
    rows: Int64Array,
    targets: Int64Array,
    out: Float32Array,
    weights: UInt32Array | None,
    sums: UInt32Array | None,
) -> None: ...
def average(
    vectors: Float32Array, rows: Int64Array, offsets: Int64Array, out: Float32Array
) -> None: ...
def hash_tokens(data: Bytes, offsets: Int64Array, out: UInt64Array) -> None: ...
def look_up(
    index: TokenIndex,
    starts: Int64Array,
    hashes: UInt64Array,
    rows: Int64Array,
    data: Bytes,
    offsets: Int64Array,
    best: Int64Array,
    seen: UInt8Array,
) -> int: ...
