"""Run the native kernel under AddressSanitizer and UBSan, then fuzz it.

    python tests/sanitize.py --rounds 40                # what a release gets
    python tests/sanitize.py --rounds 1 --no-tests      # what every change gets

In a copy of the project the kernel is built with both sanitizers, every report fatal,
as this processor runs it and as others would, side by side. Its tests run on each
build, those of the formats on the first, and `fuzz_kernel.py` gives each entry point
its inputs. Ends with 1 at the first difference from the reference, the first report or
the first failed test. ``--seed`` varies the inputs; what failed is printed with the
arguments that repeat it.

Needs gcc or clang (``CC`` names another) with their sanitizer libraries, on Linux.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
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
]
#: What AddressSanitizer's library is called, by clang (which finds gcc's too) and gcc.
ASAN = (
    f"libclang_rt.asan-{platform.machine()}.so",
    "libclang_rt.asan.so",
    "libasan.so",
)
#: Not run with them: the oracles, which compare other people's readers and take minutes
#: here, and what bounds the address space, of which the sanitizer takes terabytes.
FORMATS = ["tests/formats", "-k", "not oracle and not larger_than_memory"]
#: Not run: it measures memory, and starts Python again.
NOT_HERE = "test_choice.py"


def compiler() -> list[str]:
    return os.environ.get("CC", "gcc").split()


def builds() -> dict[str, list[str]]:
    """Flags for each way to build: for this processor, and as if for others."""
    asked = [*compiler(), "--version"]
    version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    clang = "clang" in version
    common = []
    if clang:  # its sanitizers are for programs, unless asked for a library's
        where = f"-Wl,-rpath,{Path(library(*ASAN)).parent}"
        common = ["-shared-libasan", where, "-fno-sanitize=function"]
    if platform.machine() not in ("x86_64", "AMD64"):
        return {"native": common}
    x87 = [] if clang else ["-mfpmath=387"]  # rounds as 32-bit PCs do
    return {
        "native": common,
        # numbers above 20 are wide, as those above 2**32 are elsewhere
        "without AVX2": [*common, "-DPE_NO_AVX2", "-DPE_NARROW=20"],
        "without vectors": [*common, "-DPE_NO_VECTORS", *x87],
    }


def copy_project(copy: Path) -> None:
    for name in ("pretrained_embed", "tests"):
        ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)


def build(copy: Path, more_flags: list[str]) -> None:
    kernel = copy / "pretrained_embed" / "kernel"
    subprocess.run(
        [
            *compiler(),
            *FLAGS,
            *more_flags,
            # not ours to mend: warnings of Python's own headers
            *("-isystem", sysconfig.get_path("include")),
            *("-o", str(kernel / "_kernel.abi3.so")),
            str(kernel / "_kernel.c"),
        ],
        check=True,
    )


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
    return {
        **os.environ,
        # the sanitizer has to come first, and C++ libraries before it wraps them
        "LD_PRELOAD": f"{library(*ASAN)} {library('libstdc++.so.6')}",
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:"
        "strict_string_checks=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # so that each object is a block of its own
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PRETRAINED_EMBED_KERNEL": "native",
        "CI": "true",
    }


def run(copy: Path, *command: str) -> str:
    """Run Python with the sanitizers in the copy; end everything if it fails."""
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env=environment(copy),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    at = copy / "fuzz.at"
    if ran.returncode:
        where = f"; fuzz_kernel.py {at.read_text()}" if at.exists() else ""
        raise SystemExit(f"{ran.stdout}\nsanitize: failed, as reported above{where}")
    at.unlink(missing_ok=True)
    return ran.stdout


def run_tests(copy: Path, *more: str) -> str:
    files = sorted(copy.glob("tests/kernel/test_*.py"))
    names = [str(file) for file in files if file.name != NOT_HERE]
    return run(copy, "-m", "pytest", "-p", "no:cacheprovider", *names, *more)


def check(flags: list[str], tests: list[str] | None, rounds: int, seed: int) -> str:
    """Build the kernel with these flags, test and fuzz it; return what was printed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copy_project(copy)
        build(copy, flags)
        output = "" if tests is None else run_tests(copy, *tests)
        fuzz = [str(copy / "tests" / "fuzz_kernel.py"), "--rounds", str(rounds)]
        return output + run(copy, *fuzz, "--seed", str(seed))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40, help="of fuzzing")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--no-tests", action="store_true", help="fuzz only")
    options = parser.parse_args()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checks = {}
        for number, (name, flags) in enumerate(builds().items()):
            tests = None if options.no_tests else [] if number else FORMATS
            seed = options.seed + number
            checks[name] = pool.submit(check, flags, tests, options.rounds, seed)
        for name, checked in checks.items():
            sys.stdout.write(f"sanitize: {name} kernel\n{checked.result()}")
            sys.stdout.flush()
    sys.stdout.write("sanitize: nothing found\n")


if __name__ == "__main__":
    main()
