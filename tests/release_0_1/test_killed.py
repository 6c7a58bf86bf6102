"""A build that release 0.1 began and was killed is built to its end, and right.

The work folder is known by the path and inode of the source, so the copy of a checkout
is begun anew by the release that wrote it; a release may go on from it, too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from grouped import grouped

import pretrained_embed as pe

FOLDER = Path(__file__).parents[1] / "data" / "release_0_1" / "killed"

with np.load(FOLDER / "expected.npz") as _arrays:
    VECTORS, ROWS = _arrays["vectors"], _arrays["rows"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return the folder of the source and of what each build left."""
    shutil.unpack_archive(FOLDER / "killed.zip", tmp_path)
    return tmp_path / "killed"


@pytest.mark.parametrize("kind", ["scanning", "writing", "shards"])
def test_a_killed_build_is_built_to_its_end(
    kind: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work / kind)
    assert list(Path().glob("*.work/*/*.extract"))
    out, shards = ("model", 2) if kind == "shards" else ("m.npy", None)

    built = pe.build_matrix(
        pe.Vocabulary.from_file("../vocabulary.txt"),
        "../vectors.txt",
        library=pe.Library(stores=False),
        **grouped(oov="zeros", match="exact,lower", threads=1, out=out, files=shards),
    )

    pad = np.zeros((1, VECTORS.shape[1]), np.float32)
    for matrix in (built, pe.load_matrix(out)):
        assert matrix.vectors.tobytes() == np.concatenate([pad, VECTORS]).tobytes()
        assert matrix.source_rows.tolist() == [-1, *ROWS.tolist()]
    kept = {"m.npy", "m.rows.safetensors", "model"}
    assert {path.name for path in Path().iterdir()} <= kept
    parts = [path.name for path in Path().rglob("*") if ".part" in path.name]
    assert parts == []
