"""Runs the suites of Keras on every backend: a process can only have one."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SUITES = [
    Path(__file__).with_name("keras_suite.py"),
    Path(__file__).with_name("keras_habits.py"),
    Path(__file__).with_name("keras_models.py"),
    Path(__file__).parents[1] / "release_0_1" / "keras_states.py",
]
BACKENDS = ["tensorflow", "torch", "jax"]
pytestmark = pytest.mark.skipif(
    find_spec("keras") is None, reason="Keras is not installed"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Start the suites on all backends at once."""
    folder = tmp_path_factory.mktemp("keras")
    command = [sys.executable, "-m", "pytest", *SUITES, "-p", "no:cacheprovider"]
    processes = {}
    for backend in filter(find_spec, BACKENDS):
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        with (folder / backend).open("wb") as log:
            processes[backend] = subprocess.Popen(
                [*command, "--basetemp", folder / f"{backend}.tmp"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
    yield folder, processes
    for process in processes.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("backend", BACKENDS)
def test_adapter_suite(backend, runs):
    folder, processes = runs
    if backend not in processes:
        pytest.skip(f"the backend {backend} is not installed")

    code = processes[backend].wait()

    assert code == 0, (folder / backend).read_text()
