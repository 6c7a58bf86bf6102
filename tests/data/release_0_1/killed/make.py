"""Make what killed builds of release 0.1 left beside their outputs.

Made by the code of commit 0f0e8c0 (release 0.1) with Python 3.11 on x86-64 Linux, in a
checkout of that commit, of which only this file is newer::

    PYTHONPATH=. python tests/data/release_0_1/killed/make.py

Later code need not run it. Each build is a process of its own that ends itself by
SIGKILL at a call of its progress; splits and ranges are made so small that there are
many of each.

``killed.zip`` has:

* ``vectors.txt``, the source, and ``vocabulary.txt``, the tokens, in order;
* ``scanning/m.npy.work`` is of a build that was killed while it read the source;
* ``writing/m.npy.work`` is of one that was killed while it wrote the rows;
* ``shards/model`` and ``shards/model.work`` are of one in two shards, of which one
  was finished;

``expected.npz`` has ``vectors`` float32 and ``rows``, the row of the source or -1, in
the order of the vocabulary; they are drawn here, not read by the package.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROWS, DIM = 400, 6

#: Where each build is killed, in bytes read and written.
BUILDS = {
    "scanning": ("m.npy", None, 0.5),
    "writing": ("m.npy", None, 1.1),
    "shards": ("model", 2, 1.1),
}


def build(kind: str) -> None:
    from pretrained_embed.extraction import gathering
    from pretrained_embed.pipeline import extracting, large

    import pretrained_embed as pe
    from pretrained_embed.formats.text import reader

    large._RANGE = 4 * DIM * 30
    extracting._SMALLEST = reader._SMALLEST_SPLIT = 1 << 12
    gathering._FULL = 4 * DIM * 20
    out, shards, share = BUILDS[kind]
    size = Path("../vectors.txt").stat().st_size

    def kill(done: int, total: int | None) -> None:
        if done >= share * size:
            os.kill(os.getpid(), signal.SIGKILL)

    pe.build_matrix(
        pe.Vocabulary.from_file("../vocabulary.txt"),
        "../vectors.txt",
        oov="zeros",
        match="exact,lower",
        threads=1,
        use_store=False,
        out=out,
        shards=shards,
        progress=kill,
    )


def main() -> None:
    if sys.argv[1:]:
        build(sys.argv[1])
        return
    drawn = np.random.default_rng(14)
    vectors = drawn.normal(size=(ROWS, DIM)).astype(np.float32)
    tokens = [f"w{i}" for i in range(ROWS)]
    work = HERE / "killed"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "vectors.txt").write_text(
        "".join(
            " ".join([token, *map(str, row)]) + "\n"
            for token, row in zip(tokens, vectors.tolist(), strict=True)
        )
    )
    numbers = drawn.permutation(ROWS + 30)[:300].tolist()
    wanted = [f"W{i}" if i % 5 == 0 else f"w{i}" for i in numbers]
    (work / "vocabulary.txt").write_text("".join(f"{token}\n" for token in wanted))
    rows = np.array([number if number < ROWS else -1 for number in numbers])
    found = np.where(rows[:, None] >= 0, vectors[rows], np.float32(0))
    np.savez_compressed(HERE / "expected.npz", vectors=found, rows=rows)
    for kind in BUILDS:
        folder = work / kind
        folder.mkdir()
        done = subprocess.run([sys.executable, __file__, kind], cwd=folder)
        assert done.returncode == -signal.SIGKILL, done
    shutil.make_archive(str(work), "zip", HERE, "killed")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
