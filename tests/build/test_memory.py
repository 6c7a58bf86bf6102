"""Peak memory of a process that builds: the matrix and a few buffers."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vectors import text

import pretrained_embed as pe
from pretrained_embed import kernel

pytest.importorskip("resource", reason="only POSIX systems tell the peak")

LIMIT = 64 << 20

_MEASURE = """
import json, resource, sys
import pretrained_embed as pe
small, large, times, options = map(json.loads, sys.argv[1:])
vocabulary = pe.Vocabulary([f"w{number}" for number in range(1000)] + ["oov"])
pe.build_matrix(vocabulary, small)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
work = pe.Work(options.pop("threads", None))
recipe = pe.Recipe(**options)
matrix = pe.build_matrix(vocabulary, [large] * times, recipe=recipe, work=work)
assert matrix.coverage.found == 1000, matrix.coverage
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def growth(folder: Path, large: Path, times: int = 1, **options: Any) -> int:
    """Return the bytes by which a build raises the peak of its process."""
    small = folder / "small.txt"
    small.write_bytes(text((f"w{n}", [0.25] * 50) for n in range(1_000)))
    words = map(json.dumps, (str(small), str(large), times, options))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(pe.__file__).parents[1],
    )
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


def traced_peak(vocabulary: pe.Vocabulary, source: Path) -> int:
    """Return the bytes that Python and numpy hold at most while a matrix is built."""
    tracemalloc.start()
    pe.build_matrix(
        vocabulary, source, match="exact", oov="zeros", work=pe.Work(threads=1)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.skipif(
    kernel.IMPLEMENTATION != "native",
    reason="the reference kernel makes Python objects of all tokens",
)
def test_no_str_of_every_token_is_made_to_look_for_tokens_as_they_stand(tmp_path):
    count = 100_000
    source, path = tmp_path / "source.safetensors", tmp_path / "vocab.txt"
    theirs = pe.Vocabulary([f"w{number}" for number in range(50, count)])
    pe.EmbeddingMatrix(np.zeros((len(theirs), 1), np.float32), theirs).save(source)
    path.write_text("".join(f"w{number}\n" for number in range(count)))
    traced_peak(pe.Vocabulary(["w99"]), source)  # with the modules that it imports
    buffers = traced_peak(pe.Vocabulary(["w99"]), source)

    peak = traced_peak(pe.Vocabulary.from_file(path, unk="<unk>"), source)

    # More than what the source takes: places, ranks and ledger. A str of each would
    # take 55 bytes more, and its place in a list 8.
    assert (peak - buffers) / count < 60


@pytest.fixture(scope="module")
def rows() -> bytes:
    """A megabyte of rows."""
    return text((f"w{n}", [0.25] * 50) for n in range(4_000))


@pytest.mark.parametrize("threads", [1, 4])
def test_memory_does_not_grow_with_the_file(tmp_path, rows, threads):
    large = tmp_path / "large.txt"
    with large.open("wb") as file:
        for _ in range(140):
            file.write(rows)

    assert large.stat().st_size > 2 * LIMIT
    assert growth(tmp_path, large, threads=threads) < LIMIT


@pytest.mark.parametrize("combine", pe.Recipe.choices()["combine"])
def test_memory_does_not_grow_with_the_number_of_sources(tmp_path, rows, combine):
    large = tmp_path / "large.txt"
    large.write_bytes(rows * 24)

    assert 6 * large.stat().st_size > 2 * LIMIT
    assert growth(tmp_path, large, 6, combine=combine) < LIMIT
