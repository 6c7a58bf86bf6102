"""Mutated inputs for every entry point of the kernel, native against reference.

`sanitize.py` runs this where a read past a buffer is fatal: all buffers are blocks of
the heap of exactly their size. It also works without sanitizers::

    PYTHONPATH=. python tests/fuzz_kernel.py --rounds 10

A round is a fixed count of inputs for each entry point, and input ``i`` depends on the
seed and on ``i`` alone: a run does the same on a fast machine and on a slow one. The
file ``fuzz.at`` names the input at work, so that a crash can be repeated with
``--only`` and ``--first``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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
#: What tokens are made of where they hold separators: parts of a row above all.
PARTS = [
    *TOKENS,
    *FIELDS[:6],
    b"nan",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbfthe",
    b"\r",
    b"\0",
]
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


def joined_token(random: Random, gaps: tuple[bytes, ...]) -> bytes:
    """A token that now and then holds what parts the fields of a row."""
    if random.randrange(3):
        return random.choice(TOKENS)
    token = random.choice(PARTS)
    for _ in range(random.choice((0, 1, 1, 2, 3, 6))):
        token += random.choice(gaps) + random.choice(PARTS)
    return token


def a_row(
    random: Random, token: bytes, dim: int, separator: bytes, delimiter: bytes
) -> bytes:
    fields = [random.choice(FIELDS) for _ in range(dim)]
    end = random.choice((b"\n", b"\n", b"\r\n", b" \n", b""))
    return token + delimiter + separator.join(fields) + end


def wanted(
    random: Random, tokens: Sequence[bytes] = TOKENS
) -> list[tuple[bytes, int, int]] | None:
    if random.randrange(3) == 0:
        return None
    return [
        (random.choice(tokens), random.randrange(8), random.choice((0, 1, 127)))
        for _ in range(random.randrange(9))
    ]


def made_number(random: Random) -> bytes:
    digits = str(random.randrange(10 ** random.randrange(1, 26)))
    at = random.randrange(len(digits) + 1)
    power = random.choice(("", f"e{random.randrange(-70, 70)}"))
    return f"{random.choice(('', '-'))}{digits[:at]}.{digits[at:]}{power}".encode()


def fuzz_number(random: Random) -> None:
    made = random.choice((random.choice(FIELDS), made_number(random)))
    field = mutated(random, made)
    values = [implementation.number(exactly(field)) for implementation in BOTH]
    compare(field, [value if value is None else bits([value]) for value in values])
    if values[0] is not None:
        with np.errstate(over="ignore"):
            compare(field, [bits(values[:1]), bits([float(field)])])


def fuzz_scan_text(random: Random) -> None:
    separator, delimiter = random.choice(((b" ", b" "), (b"\t", b"\t"), (b" ", b"\t")))
    dim = random.choice((1, 1, 2, 2, 3, 3, 5, 5, 9, 40, 150))
    gaps = (separator, separator, delimiter, b" ")
    tokens = [joined_token(random, gaps) for _ in range(random.randrange(5))]
    rows = [a_row(random, token, dim, separator, delimiter) for token in tokens]
    data = mutated(random, b"".join(rows))
    want = wanted(random, [*TOKENS, *tokens])
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
    tokens = [joined_token(random, (b" ",)) for _ in range(random.randrange(5))]
    rows = [
        token + b" " + random.randbytes(4 * dim) + b"\n" * newline for token in tokens
    ]
    data = b"\n" * random.choice((0, 0, 1, 3)) + mutated(random, b"".join(rows))
    want = wanted(random, [*TOKENS, *tokens])
    layout = {
        "dim": dim,
        "known": min(len(data) - 1, random.choice((-1, random.randrange(9), 200))),
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
    base = random.choice((0, 7, 2**50, 2**56 - 3, 2**56 - 3, 2**56, -1))
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


def fuzz_gather(random: Random) -> None:
    dim, count, out_rows = random.randrange(5), random.randrange(6), random.randrange(6)
    source = np.frombuffer(random.randbytes(4 * dim * count), np.float32)
    asked = random.randrange(9) if count and out_rows else 0
    numbers = [
        [random.randrange(stop) for _ in range(asked)]
        for stop in (count or 1, out_rows or 1)
    ]
    if random.randrange(9) == 0:
        random.choice(numbers).append(0)
    weights = np.frombuffer(random.randbytes(4 * dim), np.uint32)
    summed = random.choice((None, asked, asked, asked + 1))
    if asked and random.randrange(3) == 0:
        wrong = random.choice((-1, count, out_rows, 2**62, -(2**63)))
        random.choice(numbers)[random.randrange(asked)] = wrong

    def run(implementation: ModuleType) -> object:
        out = np.full((out_rows, dim), BLANK, np.float32)
        rows, targets = (np.array(each, np.int64) for each in numbers)
        given = source.reshape(count, dim).copy(), rows, targets, out
        sums = None if summed is None else np.zeros(summed, np.uint32)
        how = (None, None) if sums is None else (weights.copy(), sums)
        gathered = outcome(lambda: implementation.gather(*given, *how), ValueError)
        if isinstance(gathered, tuple):
            return "refused"
        return bits(out), None if sums is None else sums.tolist()

    compare((dim, count, out_rows, numbers, summed), [run(k) for k in BOTH])


def fuzz_average(random: Random) -> None:
    dim, count, means = (
        random.randrange(1, 5),
        random.randrange(1, 6),
        random.randrange(6),
    )
    numbers = [float(random.choice(FIELDS)) for _ in range(dim * count)]
    with np.errstate(over="ignore"):
        vectors = np.array(numbers, np.float64).astype(np.float32)
    counts = [random.choice((0, 1, 2, 7)) for _ in range(means)]
    offsets = np.cumsum([0, *counts], dtype=np.int64)
    rows = np.array([random.randrange(count) for _ in range(sum(counts))], np.int64)
    if len(rows) and random.randrange(4) == 0:
        rows[random.randrange(len(rows))] = random.choice((-1, count, 2**62))
    if random.randrange(6) == 0:
        offsets[random.randrange(len(offsets))] = random.choice((-1, 0, 1, 99, 2**62))

    def run(implementation: ModuleType) -> object:
        out = np.full((means, dim), BLANK, np.float32)
        given = vectors.reshape(count, dim), rows, offsets, out
        averaged = outcome(lambda: implementation.average(*given), ValueError)
        out[np.isnan(out)] = np.nan  # of two of them, either may come out
        return "refused" if isinstance(averaged, tuple) else bits(out)

    compare((dim, numbers, rows, offsets), [run(k) for k in BOTH])


def fuzz_measure_text(random: Random) -> None:
    gap = random.choice((b" ", b" ", b"\t", b"  "))
    rows = [
        a_row(random, joined_token(random, (gap, b"\t")), dim, gap, gap)
        for dim in random.choices((1, 2, 5, 40), k=random.randrange(4))
    ]
    data = mutated(random, b"".join(rows))
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
    # as if tokens had the hash of another one
    alike = [random.randrange(len(listed)) for _ in listed[: random.randrange(3)]]
    if listed and random.randrange(4) == 0:
        spoilt[random.randrange(len(spoilt))] = random.choice((-1, 0, len(data) + 1))
        rows[random.randrange(len(rows))] = random.choice((-1, 0, len(rows), 2**62))

    def run(implementation: ModuleType) -> object:
        index = token_index(implementation, want)
        best = np.full(8, kernel.UNCLAIMED, np.int64)
        seen = np.zeros(len(index), np.uint8)
        hashes = np.zeros(len(listed), np.uint64)
        implementation.hash_tokens(exactly(data), offsets, hashes)
        written = hashes.tolist()
        hashes[: len(alike)] = hashes[alike]
        starts, ascending, order = Buckets.of(hashes)
        if spoil >= 0:
            starts[spoil % len(starts)] += spoil - 4
        look_up = (starts, ascending, rows[order], exactly(data), spoilt, best, seen)
        found = outcome(lambda: implementation.look_up(index, *look_up), ValueError)
        if isinstance(found, tuple):
            return "refused"
        return found, written, best.tolist(), seen.tolist()

    compare((want, listed, spoilt, rows, spoil, alike), [run(k) for k in BOTH])


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


#: How many inputs of each a round has: they take about as long as each other.
ENTRIES: dict[str, tuple[int, Callable[[Random], None]]] = {
    "number": (3000, fuzz_number),
    "scan_text": (2500, fuzz_scan_text),
    "scan_binary": (1500, fuzz_scan_binary),
    "measure_text": (2500, fuzz_measure_text),
    "TokenIndex": (500, fuzz_token_index),
    "place, spread, find_rows": (1200, fuzz_claims),
    "gather": (1200, fuzz_gather),
    "average": (800, fuzz_average),
    "pack": (1200, fuzz_pack),
    "hash_tokens, look_up": (400, fuzz_hashes),
    "open_reader": (80, fuzz_readers),
}


def fuzz(name: str, rounds: int, seed: int, first: int) -> int:
    """Give one entry point its inputs, from the first on; return how many."""
    count, one = ENTRIES[name]
    at = os.open(FUZZ_AT, os.O_WRONLY | os.O_CREAT)
    for number in range(first, first + rounds * count):
        os.pwrite(
            at,
            f"--seed {seed} --only '{name}' --first {number}\n".ljust(80).encode(),
            0,
        )
        one(Random(f"{seed} {name} {number}"))
    os.close(at)
    return rounds * count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1, help="over all inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=ENTRIES, help="one entry point")
    parser.add_argument(
        "--first", type=int, default=0, help="number of its first input"
    )
    options = parser.parse_args()
    for name in [options.only] if options.only else list(ENTRIES):
        began = time.process_time()
        count = fuzz(name, options.rounds, options.seed, options.first)
        took = time.process_time() - began
        sys.stdout.write(f"{name:>24}: {count:>7,} inputs, {took:5.1f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FOLDER = Path(folder)
        SEEDS = files(FOLDER)
        main()
