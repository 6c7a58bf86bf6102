"""The recipes of the documentation for engines that this package does not install.

Each is run with the engine where that is installed, and with a stand-in that is made of
processes of this machine, for the code of the recipe itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import pretrained_embed as pe

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "engines.md"
RECIPE = re.compile(r"^```py\n# (\w+\.py)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
LONGEST = 240  # seconds; an engine that hangs is no reason to wait for ever

#: What of an engine a recipe uses, done by processes.
STAND_INS = {
    "ray": {
        "ray.py": """
from concurrent.futures import ProcessPoolExecutor

def init():
    pass

def remote(function):
    return Remote(function, ProcessPoolExecutor(2))

class Remote:
    def __init__(self, function, pool):
        self.function, self.pool = function, pool

    def remote(self, *args):
        return Reference(self.pool.submit(self.function, *args))

class Reference:
    def __init__(self, future):
        self._future = future

    def future(self):
        return self._future
"""
    },
    "mpi": {
        "mpi4py/__init__.py": "",
        "mpi4py/futures.py": """
from concurrent.futures import ProcessPoolExecutor as MPIPoolExecutor
""",
    },
    "spark": {
        "pyspark.py": """
from multiprocessing import get_context

class SparkContext:
    def parallelize(self, items, parts):
        return Items(items)

    def stop(self):
        pass

class Items:
    def __init__(self, items):
        self.items = items

    def map(self, function):
        return Mapped(function, self.items)

class Mapped:
    def __init__(self, function, items):
        self.function, self.items = function, items

    def collect(self):
        # a lambda goes to another process by fork, its result comes back pickled
        context = get_context("fork")
        ours, theirs = context.Pipe()
        work = context.Process(target=lambda: theirs.send(
            [self.function(item) for item in self.items]
        ))
        work.start()
        theirs.close()
        done = ours.recv()
        work.join()
        return done
"""
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recipes, a vocabulary, and vectors in parts."""
    recipes = RECIPE.findall(PAGE.read_text("utf-8"))
    assert len(recipes) == 6
    for name, code in recipes:
        (tmp_path / name).write_text(code)
    (tmp_path / "vectors").mkdir()
    for part in range(3):
        lines = [f"w{part}-{row} {row}.5 {part}\n" for row in range(50)]
        (tmp_path / "vectors" / f"part-{part}.txt").write_text("".join(lines))
    words = [f"w{row % 3}-{row}\n" for row in range(0, 60, 7)]
    (tmp_path / "vocab.txt").write_text("".join(words))
    return tmp_path


def check(folder: Path, command: list[str]) -> None:
    """Run a recipe, and compare the rows with those of a plain build."""
    ran = subprocess.run(
        command,
        cwd=folder,
        # Ray writes into the home folder
        env=os.environ
        | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if "timed out during startup" in ran.stderr:
        pytest.skip("Ray itself did not start in its own time: the machine is loaded")
    assert ran.returncode == 0, ran.stderr
    vocabulary = pe.Vocabulary.from_file(folder / "vocab.txt")
    expected = pe.build_matrix(vocabulary, folder / "vectors")
    built = pe.load_matrix(folder / "m.npy")
    assert str(built.shape) in ran.stdout
    assert built.vectors.tobytes() == expected.vectors.tobytes()
    assert built.source_rows.tolist() == expected.source_rows.tolist()


@pytest.mark.parametrize("engine", STAND_INS)
def test_the_code_of_a_recipe(engine: str, folder: Path) -> None:
    for name, code in STAND_INS[engine].items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)

    check(folder, [sys.executable, f"build_{engine}.py"])


@pytest.mark.skipif(
    find_spec("ray") is None,
    reason="Ray is not installed: at 250 MB it is too big for the test extra",
)
def test_ray(folder: Path) -> None:
    check(folder, [sys.executable, "build_ray.py"])


@pytest.mark.skipif(
    find_spec("mpi4py") is None or shutil.which("mpiexec") is None,
    reason="mpi4py or an mpiexec is not installed: an MPI is too big for the test "
    "extra (pip install mpi4py mpich)",
)
def test_mpi(folder: Path) -> None:
    command = [sys.executable, "-m", "mpi4py.futures", "build_mpi.py"]
    check(folder, ["mpiexec", "-n", "3", *command])
