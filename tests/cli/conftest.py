"""A place to run the command line in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder with ``vocab.txt`` and ``vectors.txt``, with an empty cache."""
    for name in [name for name in os.environ if name.startswith("PRETRAINED_EMBED_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PRETRAINED_EMBED_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    Path("vocab.txt").write_text("the\ncat\nDog\nzebra\n")
    Path("vectors.txt").write_text("the 1 2 3\ncat 4 5 6\ndog 7 8 9\n")
    return work
