"""With numpy and click alone: what works, and what is said of the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HIDDEN = ("requests", "urllib3", "h5py", "isal", "filelock")

PROGRAM = """
import contextlib, io, json, sys
sys.modules.update(dict.fromkeys({hidden}))
from pretrained_embed.cli import main
results = []
for line in {lines}:
    said = io.StringIO()
    sys.argv = ["pretrained-embed", *line.split()]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            main()
        except SystemExit as error:
            results.append((error.code, said.getvalue()))
print(json.dumps(results))
"""


def run(folder: Path, *lines: str) -> list[tuple[int, str]]:
    program = PROGRAM.format(hidden=HIDDEN, lines=lines)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return [tuple(result) for result in json.loads(ran.stdout)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "v.txt").write_text("the 1 2\nof 3 4\n")
    (tmp_path / "vocab.txt").write_text("the\n")
    (tmp_path / "v.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    return tmp_path


def test_text_npy_and_npz_work(folder):
    build = "build --vocab vocab.txt --source"
    results = run(
        folder,
        f"{build} v.txt -o m.npz",
        "convert v.txt v.npz",
        f"{build} v.npz -o m.npy",
        f"{build} m.npy --vocab vocab.txt -o again.npz",
        "info m.npz",
    )
    assert [code for code, _ in results] == [0] * 5, results


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("build --vocab vocab.txt --source v.txt -o m.h5", "h5py"),
        ("convert v.txt v2.h5", "h5py"),
        ("info v.h5", "h5py"),
        ("index v.txt", "h5py"),
        ("fetch http://127.0.0.1:9/v.txt", "requests"),
        ("build --vocab vocab.txt --source http://127.0.0.1:9/v.txt", "requests"),
    ],
)
def test_the_absence_of_others_is_one_clear_error(folder, line, package):
    ((code, said),) = run(folder, line)
    assert code == 1, said
    assert said.startswith("Error: ")
    assert f"needs {package}, which is not installed: pip install {package}" in said
    assert said.count("\n") == 1
