"""Runs `keras_suite` on every backend: a process can only have one."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SUITE = Path(__file__).with_name("keras_suite.py")
pytest.importorskip("keras", reason="Keras is not installed")


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_adapter_suite(backend):
    if find_spec(backend) is None:
        pytest.skip(f"the backend {backend} is not installed")

    run = subprocess.run(
        [sys.executable, "-m", "pytest", SUITE, "-p", "no:cacheprovider"],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
