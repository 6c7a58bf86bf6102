"""How the package is built, asked of setup.py without building it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

ASK = """
import json, sysconfig
from distutils.core import run_setup
{before}
from setuptools import setup
built = run_setup("setup.py", ["bdist_wheel"], stop_after="commandline")
wheel = built.get_command_obj("bdist_wheel")
wheel.ensure_finalized()
(kernel,) = built.ext_modules
print(json.dumps([wheel.get_tag()[1], kernel.define_macros, kernel.depends]))
"""
FREE_THREADED = """
variable = sysconfig.get_config_var
sysconfig.get_config_var = lambda n: n == "Py_GIL_DISABLED" or variable(n)
"""


def asked(before: str) -> tuple[str, list[list[str]], list[str]]:
    program = "import setuptools\n" + ASK.format(before=before)
    run = [sys.executable, "-W", "ignore", "-c", program]
    ran = subprocess.run(run, cwd=ROOT, check=True, capture_output=True, text=True)
    return tuple(json.loads(ran.stdout.splitlines()[-1]))


def test_a_wheel_serves_every_python_from_the_first_on():
    abi, macros, _ = asked("")
    assert (abi, macros) == ("abi3", [["Py_LIMITED_API", "0x030B0000"]])


def test_python_without_a_gil_gets_a_wheel_of_its_own():
    abi, macros, _ = asked(FREE_THREADED)
    assert abi != "abi3"
    assert macros == []


def test_every_header_makes_the_kernel_be_built_again():
    headers = ROOT.glob("pretrained_embed/kernel/*.h")
    depends = asked("")[2]
    assert sorted(depends) == sorted(p.relative_to(ROOT).as_posix() for p in headers)
