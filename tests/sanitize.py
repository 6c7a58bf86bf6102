"""Run the native kernel under AddressSanitizer and UBSan, then fuzz it.

    python tests/sanitize.py --seconds 600      # what a release gets
    python tests/sanitize.py --seconds 20       # what every change gets (.ci/run)

In a copy of the package the kernel is built with both sanitizers, every report fatal.
The tests of the kernel and of the formats run on it, then `fuzz_kernel.py` gives each
entry point its share of the seconds. Ends with 1 at the first difference from the
reference, the first report or the first failed test. ``--seed`` varies the inputs; what
failed is printed with the arguments that repeat it.

Needs gcc or clang (``CC`` names another) with their sanitizer libraries, on Linux.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLAGS = [
    "-std=c11",
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-shared",
    "-fPIC",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wno-missing-field-initializers",
    "-Wno-cast-function-type",
    "-Werror",
    "-DPy_LIMITED_API=0x030B0000",
]
#: Not run: they start Python again or need more memory than the sanitizer leaves.
NOT_HERE = "memory or environment or unknown_kernel or without_a_native"


def build(copy: Path) -> None:
    """Copy package, tests and configuration; build the kernel in the copy."""
    for name in ("pretrained_embed", "tests"):
        ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    kernel = copy / "pretrained_embed" / "kernel"
    subprocess.run(
        [
            *compiler(),
            *FLAGS,
            # not ours to mend: warnings of Python's own headers
            *("-isystem", sysconfig.get_path("include")),
            *("-o", str(kernel / "_kernel.abi3.so")),
            str(kernel / "_kernel.c"),
        ],
        check=True,
    )


def compiler() -> list[str]:
    return os.environ.get("CC", "gcc").split()


def library(*names: str) -> str:
    """Return the path of the first of these libraries that the compiler has."""
    for name in names:
        asked = [*compiler(), f"-print-file-name={name}"]
        found = subprocess.run(asked, check=True, capture_output=True, text=True)
        path = found.stdout.strip()
        if path != name:  # the bare name comes back where there is none
            return path
    raise SystemExit(f"sanitize: {compiler()[0]} has none of {', '.join(names)}")


def environment(copy: Path) -> dict[str, str]:
    asan = library("libasan.so", "libclang_rt.asan-x86_64.so", "libclang_rt.asan.so")
    return {
        **os.environ,
        # the sanitizer has to come first, and C++ libraries before it wraps them
        "LD_PRELOAD": f"{asan} {library('libstdc++.so.6')}",
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:"
        "strict_string_checks=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # so that each object is a block of its own
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PRETRAINED_EMBED_KERNEL": "native",
        "CI": "true",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600, help="of fuzzing, in all")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--no-tests", action="store_true", help="fuzz only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        build(copy)
        commands = [
            [
                *("-m", "pytest", "-p", "no:cacheprovider", "-k", f"not ({NOT_HERE})"),
                *sorted(str(p) for p in copy.glob("tests/test_kernel_*.py")),
                *sorted(str(p) for p in copy.glob("tests/test_formats_*.py")),
            ],
            [
                str(copy / "tests" / "fuzz_kernel.py"),
                *("--seconds", str(options.seconds), "--seed", str(options.seed)),
            ],
        ]
        for command in commands[options.no_tests :]:
            ran = subprocess.run(
                [sys.executable, *command], cwd=copy, env=environment(copy), check=False
            )
            if ran.returncode:
                at = copy / "fuzz.at"
                where = f"; fuzz_kernel.py {at.read_text()}" if at.exists() else ""
                raise SystemExit(f"sanitize: failed, as reported above{where}")
    sys.stdout.write("sanitize: nothing found\n")


if __name__ == "__main__":
    main()
