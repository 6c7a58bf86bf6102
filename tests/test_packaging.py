"""How the package is built, asked of its configuration without building it."""

from __future__ import annotations

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KERNEL = ROOT / "pretrained_embed" / "kernel"
ASK = """
#include "_bytes.h"
#ifdef Py_LIMITED_API
stable Py_LIMITED_API
#else
one version
#endif
"""


@pytest.fixture(scope="module")
def configuration():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def preprocessed(*options: str) -> str:
    compiler = sysconfig.get_config_var("CC").split()[0]
    headers = [f"-I{sysconfig.get_path('include')}", f"-I{KERNEL}"]
    run = [compiler, "-E", "-P", *options, *headers, "-x", "c", "-"]
    ran = subprocess.run(run, input=ASK, check=True, capture_output=True, text=True)
    return ran.stdout.splitlines()[-1]


def test_the_kernel_is_of_the_stable_abi_from_the_first_python_on(configuration):
    first = re.fullmatch(r">=3\.(\d+)", configuration["project"]["requires-python"])
    assert first is not None
    assert preprocessed() == f"stable 0x03{int(first[1]):02X}0000"
    overrides = configuration["tool"]["cibuildwheel"]["overrides"]
    option = overrides[0]["config-settings"]["--build-option"]
    assert option == f"--py-limited-api=cp3{first[1]}"


def test_python_without_a_gil_gets_a_kernel_of_its_own():
    assert preprocessed("-DPy_GIL_DISABLED=1") == "one version"


def test_every_header_makes_the_kernel_be_built_again(configuration):
    (kernel,) = configuration["tool"]["setuptools"]["ext-modules"]
    headers = KERNEL.glob("*.h")
    assert kernel["depends"] == sorted(p.relative_to(ROOT).as_posix() for p in headers)
