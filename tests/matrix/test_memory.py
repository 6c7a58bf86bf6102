"""Peak memory of a process that builds: the matrix and a few buffers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from vectors import text

import pretrained_embed as pe

pytest.importorskip("resource", reason="only POSIX systems tell the peak")

_MEASURE = """
import resource, sys
import pretrained_embed as pe
vocabulary = pe.Vocabulary([f"w{number}" for number in range(1000)] + ["oov"])
pe.build_matrix(vocabulary, sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
matrix = pe.build_matrix(vocabulary, sys.argv[2], threads=int(sys.argv[3]))
assert matrix.coverage.found == 1000, matrix.coverage
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("threads", ["1", "4"])
def test_memory_does_not_grow_with_the_file(tmp_path, threads):
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    small.write_bytes(text((f"w{n}", [0.25] * 50) for n in range(4_000)))
    with large.open("wb") as file:
        for _ in range(140):
            file.write(small.read_bytes())

    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, small, large, threads],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(pe.__file__).parents[1],
    )

    unit = 1 if sys.platform == "darwin" else 1024
    assert large.stat().st_size > 2 * (64 << 20)
    assert int(done.stdout) * unit < 64 << 20, done.stdout
