"""Damaged files of every format: rows or our error, in little memory.

Every file of ``tests/data`` that can be read is damaged in ways that are drawn from a
seed of its own, so that a failure comes back: bytes changed, numbers made huge, parts
cut out, doubled or taken from another file. New formats come in with their files. With
``HYPOTHESIS_PROFILE=thorough`` a hundred times as many are tried.
"""

from __future__ import annotations

import os
import random
import shutil
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conformance import index_of

from pretrained_embed import formats, sources
from pretrained_embed.errors import PretrainedEmbedError

DATA = Path(__file__).parents[1] / "data"
TRIES = 600 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 6

#: What reading may take, in bytes: buffers of a fixed size, and so many times the file.
FIXED, TIMES = 48 << 20, 64

NOT_OF_VECTORS = {"invalid", "release_0_1", "tls", "vocabulary"}
HUGE = (b"\xff" * 4, b"\x7f" * 8, b"\xff" * 8, b"\xff\xff\xff\x7f", b"\x00" * 8)


def samples() -> Iterator[Path]:
    """Yield the files and folders to be damaged."""
    for folder in sorted(DATA.iterdir()):
        if folder.is_dir() and folder.name not in NOT_OF_VECTORS:
            for path in sorted(folder.iterdir()):
                if path.suffix not in (".json", ".py") and path.name[0] not in "._":
                    yield path


def all_samples() -> list[Path]:
    """Return the same, and what lies a folder deeper."""
    return [*samples(), *sorted(DATA.glob("gensim/*/*"))]


def damaged(raw: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return the bytes of a file with something wrong, most often near its start."""
    data = bytearray(raw)
    reach = chance.choice([64, 512, len(data)])

    def place() -> int:
        return chance.randrange(max(1, min(reach, len(data))))

    for _ in range(chance.choice([1, 1, 2, 5])):
        kind = chance.randrange(6)
        at = place()
        if kind == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            huge = chance.choice(HUGE)
            data[at : at + len(huge)] = huge
        elif kind == 2:
            del data[at : at + chance.choice([1, 4, 100])]
        elif kind == 3:
            data[at:at] = data[place() :][: chance.choice([1, 8, 300])]
        elif kind == 4:
            start = chance.randrange(len(other) + 1)
            data[at : at + 50] = other[start : start + 50]
        else:
            del data[chance.choice([at, len(data) - at]) :]
    return bytes(data)


def read(path: Path) -> None:
    """Do everything that can be done with a file of vectors."""
    read_all(formats.open_reader(sources.open_source(path)))


def read_all(opened: formats.Reader) -> None:
    """Do everything that can be done with an open reader."""
    with opened as reader:
        for block in reader.blocks(on_bad_row="skip"):
            assert block.vectors.shape == (len(block.tokens), reader.dim)
        out = np.zeros((3, reader.dim), np.float32)
        wanted = [("the", 0, 0), ("a", 1, 0), ("missing", 2, 0)]
        reader.select(index_of(wanted), out, on_bad_row="skip")
        if reader.composes:
            reader.compose(["missing", ""], out[:2])


@pytest.mark.parametrize(
    "sample", [*samples()], ids=lambda p: f"{p.parent.name}-{p.name}"
)
def test_a_damaged_file_gives_rows_or_our_error_in_little_memory(sample, tmp_path):
    # siblings go with it, for formats that have several files
    copy = tmp_path / "data"
    if sample.is_dir():
        shutil.copytree(sample, copy)
        target, files = copy, [path for path in copy.rglob("*") if path.is_file()]
    else:
        copy.mkdir()
        for path in sample.parent.glob(f"{sample.name}*"):
            shutil.copy(path, copy)
        target = copy / sample.name
        files = [target]
    chance = random.Random(zlib.crc32(sample.name.encode()))
    others = [path.read_bytes() for path in files]

    for file, raw in zip(
        sorted(files), map(Path.read_bytes, sorted(files)), strict=True
    ):
        for _ in range(TRIES):
            bad = damaged(raw, chance.choice(others), chance)
            file.write_bytes(bad)
            tracemalloc.start()
            try:
                read(target)
            except PretrainedEmbedError:
                pass
            finally:
                _, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
            assert peak < FIXED + TIMES * sum(map(len, [bad, *others])), bad[:200]
        file.write_bytes(raw)
