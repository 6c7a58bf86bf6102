"""Mutated inputs for every entry point of the kernel, native against reference.

`sanitize.py` runs this where a read past a buffer is fatal: all buffers are blocks of
the heap of exactly their size. It also works without sanitizers::

    PYTHONPATH=. python tests/fuzz_kernel.py --seconds 60

Input ``i`` of an entry point depends on the seed and on ``i`` alone. The file
``fuzz.at`` names the one at work, so that a crash can be repeated with ``--only`` and
``--first``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

import numpy as np
from conftest import KERNEL_NAMES
from kernels import BLANK, Packed, bits, exactly, scan_binary, scan_text, token_index

from pretrained_embed import kernel
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import PretrainedEmbedError
from pretrained_embed.formats import Table, open_reader, write_table
from pretrained_embed.formats.store.directory import Buckets
from pretrained_embed.kernel import _kernel, _reference
from pretrained_embed.sources.stream import Stream

BOTH = (_kernel, _reference)
FUZZ_AT = "fuzz.at"

NUMBERS = b"0 -0 1 -1.5 .5 5. 0.071549 -0.4184999 -0.41849999 1e5 1E-5 +1e+05 nan -inf"
NUMBERS += b" Infinity -0.25094 0.33 9.12345678 1.000000001 0.5"
NUMBERS += b" 12345678901234567890.5 1.00000005960464477539062501 7.006492321624085e-46"
NUMBERS += b" 3.4028235677973366e38 1e-400 1e400 0e999999999999 00000000000000000000.1"
FIELDS = NUMBERS.split()
TOKENS = [b"the", b"of", b"route 66", b"\xc2\xa0", b"\xff", b"", b"x" * 40, b"</s>"]
PIECES = [b" ", b"\n", b"\r\n", b"\t", b"\r", b"\0", b".", b"-", b"e", b"9", b"_", b","]
PIECES += [
    b"  ",
    b"0" * 20,
    b"9" * 25,
    b"1 2 3",
    b"\xef\xbb\xbf",
    b"\x80",
    *FIELDS,
    *TOKENS,
]


class Difference(Exception):
    """The two kernels, or a kernel and Python, do not agree."""


def mutated(random: Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(random.choice((0, 1, 1, 2, 3, 8))):
        at = random.randrange(len(data) + 1)
        until = at + random.choice((0, 0, 1, 2, 9))
        kind = random.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[at:until] = random.choice(PIECES)
        elif kind == 2:
            data[at:until] = random.randbytes(random.randrange(9))
        elif kind == 3:
            begin = random.randrange(len(data) + 1)
            data[at:until] = data[begin : begin + random.randrange(60)]
        elif random.randrange(4) == 0:
            del data[at:]
    return bytes(data)


def outcome(call: Callable[[], object], *errors: type[Exception]) -> object:
    try:
        return call()
    except errors as error:
        return type(error).__name__, str(error)


def compare(case: object, results: list[object]) -> None:
    if results[0] != results[1]:
        raise Difference(
            f"{case!r}\nnative:    {results[0]!r}\nreference: {results[1]!r}"
        )


def a_token(random: Random) -> bytes:
    return mutated(random, random.choice(TOKENS))


def a_row(random: Random, dim: int, separator: bytes, delimiter: bytes) -> bytes:
    fields = [random.choice(FIELDS) for _ in range(dim)]
    end = random.choice((b"\n", b"\n", b"\r\n", b" \n", b""))
    return random.choice(TOKENS) + delimiter + separator.join(fields) + end


def wanted(random: Random) -> list[tuple[bytes, int, int]] | None:
    if random.randrange(3) == 0:
        return None
    return [
        (random.choice(TOKENS), random.randrange(8), random.choice((0, 1, 127)))
        for _ in range(random.randrange(9))
    ]


def fuzz_number(random: Random) -> None:
    field = mutated(random, random.choice(FIELDS))
    values = [implementation.number(exactly(field)) for implementation in BOTH]
    compare(field, [value if value is None else bits([value]) for value in values])
    if values[0] is not None:
        with np.errstate(over="ignore"):
            compare(field, [bits(values[:1]), bits([float(field)])])


def fuzz_scan_text(random: Random) -> None:
    separator, delimiter = random.choice(((b" ", b" "), (b"\t", b"\t"), (b" ", b"\t")))
    dim = random.choice((1, 2, 3, 5, 40, 150))
    rows = [
        a_row(random, dim, separator, delimiter) for _ in range(random.randrange(5))
    ]
    data = mutated(random, b"".join(rows))
    want = wanted(random)
    start = random.randrange(len(data) + 1) if random.randrange(4) == 0 else 0
    stop = (
        random.randrange(start, len(data) + 1)
        if random.randrange(4) == 0
        else len(data)
    )
    layout = {
        "dim": dim,
        "separator": separator,
        "delimiter": delimiter,
        "span": (start, stop),
        "final": random.random() < 0.7,
        "room": random.choice(((9, 9), (1, 9), (9, 1), (2, 2), (0, 1))),
    }
    compare(
        (data, want, layout),
        [scan_text(k, token_index(k, want), data, **layout) for k in BOTH],
    )


def fuzz_scan_binary(random: Random) -> None:
    dim = random.choice((1, 2, 3, 40))
    newline = random.random() < 0.5
    rows = [
        random.choice(TOKENS) + b" " + random.randbytes(4 * dim) + b"\n" * newline
        for _ in range(random.randrange(5))
    ]
    data = mutated(random, b"".join(rows))
    want = wanted(random)
    layout = {
        "dim": dim,
        "known": random.randrange(-1, len(data)) if random.randrange(2) else -1,
        "usual": random.choice(((0, 255), (1, 0), (100, 140))),
        "room": random.choice((0, 1, 9)),
    }
    compare(
        (data, want, layout),
        [scan_binary(k, token_index(k, want), data, **layout) for k in BOTH],
    )


def fuzz_token_index(random: Random) -> None:
    tokens = [a_token(random) for _ in range(random.randrange(40))]
    given = [
        t if random.randrange(2) else t.decode("utf-8", "surrogateescape")
        for t in tokens
    ]
    want = [(t, random.randrange(-1, 99) % 98, random.randrange(128)) for t in given]
    other = [a_token(random) for _ in range(9)]
    packed = Packed.of(given)
    rows = np.array([row for _, row, _ in want], np.int64)
    ranks = np.array([rank for _, _, rank in want], np.uint8)
    if random.randrange(4) == 0:
        spoilt = random.randrange(len(packed.offsets))
        packed.offsets[spoilt] += random.choice((-9, -1, 1, 2**62))

    def run(implementation: ModuleType) -> object:
        def content(index: kernel.TokenIndex) -> object:
            keys = [index.key(token) for token in tokens + other]
            return keys, [index.wanted(key) for key in range(len(index))]

        def from_packed() -> object:
            return content(implementation.TokenIndex(packed, rows, ranks))

        listed = content(token_index(implementation, want))
        return listed, outcome(from_packed, ValueError)

    compare((want, other), [run(implementation) for implementation in BOTH])


def fuzz_claims(random: Random) -> None:
    """`place`, `spread` and `find_rows`, on what is sometimes impossible."""
    want = wanted(random) or []
    dim = random.randrange(4)
    count = random.randrange(6)
    base = random.choice((0, 7, 2**50))
    hits = [
        [
            random.choice((i, i, i, -1)),
            0,
            0,
            random.choice((0, 1, 2, random.randrange(-9, 9))),
        ]
        for i in range(count)
    ]
    vectors = np.frombuffer(random.randbytes(4 * dim * count), np.float32)
    data = b"".join(random.choice(TOKENS) for _ in range(count))
    offsets = sorted(random.randrange(len(data) + 1) for _ in range(count))
    if random.randrange(5) == 0:
        offsets.append(random.choice((-1, len(data) + 1, 0, 2**63 - 1)))
    out_rows = random.choice((8, random.randrange(8)))

    def run(implementation: ModuleType) -> object:
        index = token_index(implementation, want)
        best = np.full(8, kernel.UNCLAIMED, np.int64)
        seen = np.zeros(len(index), np.uint8)
        out = np.zeros((out_rows, dim), np.float32)
        place = (index, np.array(hits, np.int64).reshape(-1, 4), count)
        moved = (vectors.reshape(count, dim), base, best, seen, out)
        pairs = np.full((out_rows, 2), BLANK, np.int64)
        places = np.array(offsets, np.int64)
        find = (index, exactly(data), places, base, best, seen)
        refused = [
            outcome(lambda: implementation.place(*place, *moved), ValueError) is None,
            outcome(lambda: implementation.find_rows(*find), ValueError),
            outcome(lambda: implementation.spread(*place, pairs), ValueError),
        ]
        if isinstance(refused[1], tuple):
            refused[1] = "refused"
        return refused, best.tolist(), seen.tolist(), bits(out), pairs.tolist()

    compare((want, hits, offsets, data, base), [run(k) for k in BOTH])


def fuzz_pack(random: Random) -> None:
    data = b"".join(random.choice(TOKENS) for _ in range(random.randrange(5)))
    hits = []
    for _ in range(random.randrange(6)):
        start = random.randrange(len(data) + 1)
        hits.append([0, start, random.randrange(len(data) - start + 1), 0])
    if hits and random.randrange(4) == 0:
        wrong = random.choice((-1, len(data) + 1, 2**62, -(2**63), 2**63 - 1))
        random.choice(hits)[random.choice((1, 2))] = wrong
    count = random.choice((len(hits), len(hits), random.randrange(-1, 8)))
    room = random.choice((200, 200, random.randrange(40)))

    def run(implementation: ModuleType) -> object:
        out = np.zeros(room, np.uint8)
        given = (exactly(data), np.array(hits, np.int64).reshape(-1, 4), count, out)
        written = outcome(lambda: implementation.pack(*given), ValueError)
        return "refused" if isinstance(written, tuple) else (written, out.tobytes())

    compare((data, hits, count, room), [run(k) for k in BOTH])


def fuzz_measure_text(random: Random) -> None:
    gap = random.choice((b" ", b" ", b"\t", b"  "))
    rows = [a_row(random, random.choice((1, 2, 5, 40)), gap, gap) for _ in range(3)]
    data = mutated(random, b"".join(rows[: random.randrange(4)]))
    start = random.choice((0, 0, 0, random.randrange(len(data) + 1)))
    stop = random.choice((len(data), random.randrange(start, len(data) + 1)))
    given = (start, stop, random.random() < 0.7)
    room = random.choice((9, 9, 1, 0))

    def run(implementation: ModuleType) -> object:
        shapes = np.full((room, kernel.SHAPE_COLUMNS), BLANK, np.int64)
        return implementation.measure_text(
            exactly(data), *given, shapes
        ), shapes.tolist()

    compare((data, given, room), [run(k) for k in BOTH])


def fuzz_hashes(random: Random) -> None:
    """`hash_tokens` and `look_up`, on what is sometimes impossible."""
    want = wanted(random) or []
    listed = [
        random.choice((a_token(random), *TOKENS)) for _ in range(random.randrange(9))
    ]
    data = b"".join(listed)
    offsets = np.cumsum([0, *map(len, listed)], dtype=np.int64)
    spoilt = offsets.copy()
    rows = np.arange(len(listed), dtype=np.int64)
    spoil = random.randrange(9) if random.randrange(5) == 0 else -1
    if listed and random.randrange(4) == 0:
        spoilt[random.randrange(len(spoilt))] = random.choice((-1, 0, len(data) + 1))
        rows[random.randrange(len(rows))] = random.choice((-1, 0, len(rows), 2**62))

    def run(implementation: ModuleType) -> object:
        index = token_index(implementation, want)
        best = np.full(8, kernel.UNCLAIMED, np.int64)
        seen = np.zeros(len(index), np.uint8)
        hashes = np.zeros(len(listed), np.uint64)
        implementation.hash_tokens(exactly(data), offsets, hashes)
        starts, ascending, order = Buckets.of(hashes)
        if spoil >= 0:
            starts[spoil % len(starts)] += spoil - 4
        look_up = (starts, ascending, rows[order], exactly(data), spoilt, best, seen)
        found = outcome(lambda: implementation.look_up(index, *look_up), ValueError)
        if isinstance(found, tuple):
            return "refused"
        return found, hashes.tolist(), best.tolist(), seen.tolist()

    compare((want, listed, spoilt, rows, spoil), [run(k) for k in BOTH])


def files(folder: Path) -> dict[str, list[bytes]]:
    """Small good files of every format that can be written, to be mutated."""
    tokens = ["the", "of", "route", "\u00a0", "\udcff", "x" * 40, "</s>", "a"]
    vectors = np.linspace(-1, 1, 8 * 3, dtype=np.float32).reshape(8, 3)
    table = Table(PackedTokens.pack(tokens), vectors, {}, {"source": "fuzz"})
    seeds = {}
    for suffix in (".txt", ".vec", ".bin", ".npz", ".safetensors", ".h5"):
        path = folder / f"seed{suffix}"
        write_table(path, table)
        seeds[suffix] = [path.read_bytes()]
    seeds[".txt"].append(b"8 3\n" + b"".join(b"w%d\t1 2 3\n" % i for i in range(8)))
    seeds[".txt"].append(b"".join(b"w%d\t1\t2\t3\n" % i for i in range(8)))
    return seeds


def fuzz_readers(random: Random) -> None:
    suffix = random.choice([*SEEDS])
    data = mutated(random, random.choice(SEEDS[suffix]))
    path = FOLDER / f"input{suffix}"
    path.write_bytes(data)
    piped = random.random() < 0.3
    stream = Stream(
        path.name,
        lambda: path.open("rb", buffering=0),
        size=None if piped else len(data),
        path=None if piped else path,
    )
    skip = random.choice(("skip", "skip", "error"))
    threads = random.choice((1, 2))
    want = [("the", 0, 0), ("of", 1, 1), ("a", 1, 0), ("w3", 2, 0), ("\u00a0", 3, 0)]

    def run(implementation: ModuleType) -> object:
        for name in KERNEL_NAMES:
            setattr(kernel, name, getattr(implementation, name))

        def read() -> object:
            with open_reader(stream) as reader:
                if reader.dim > 1 << 16:
                    return reader.dim
                blocks = [
                    (block.tokens, bits(block.vectors))
                    for block in reader.blocks(on_bad_row=skip)
                ]
                out = np.zeros((4, reader.dim), np.float32)
                index = token_index(implementation, want)
                chosen = reader.select(index, out, threads=threads, on_bad_row=skip)
                rows, ranks = chosen.source_rows.tolist(), chosen.ranks.tolist()
                return blocks, bits(out), rows, ranks, chosen.findings

        return outcome(read, PretrainedEmbedError)

    compare((suffix, data, skip, piped), [run(k) for k in BOTH])


ENTRIES = {
    "number": fuzz_number,
    "scan_text": fuzz_scan_text,
    "scan_binary": fuzz_scan_binary,
    "measure_text": fuzz_measure_text,
    "TokenIndex": fuzz_token_index,
    "place, spread, find_rows": fuzz_claims,
    "pack": fuzz_pack,
    "hash_tokens, look_up": fuzz_hashes,
    "open_reader": fuzz_readers,
}


def fuzz(name: str, seconds: float, seed: int, first: int) -> int:
    """Run one entry point for some seconds; return how many inputs it took."""
    one = ENTRIES[name]
    until = time.monotonic() + seconds
    at = os.open(FUZZ_AT, os.O_WRONLY | os.O_CREAT)
    number = first
    while time.monotonic() < until:
        os.pwrite(
            at,
            f"--seed {seed} --only '{name}' --first {number}\n".ljust(80).encode(),
            0,
        )
        one(Random(f"{seed} {name} {number}"))
        number += 1
    os.close(at)
    return number - first


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60, help="in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=ENTRIES, help="one entry point")
    parser.add_argument(
        "--first", type=int, default=0, help="number of its first input"
    )
    options = parser.parse_args()
    names = [options.only] if options.only else list(ENTRIES)
    for name in names:
        share = options.seconds / len(names)
        count = fuzz(name, share, options.seed, options.first)
        sys.stdout.write(f"{name:>20}: {count:>10,} inputs in {share:.0f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FOLDER = Path(folder)
        SEEDS = files(FOLDER)
        main()
