"""Test and fuzz the kernel on processors that are not here, under QEMU's user mode.

    python tests/emulate.py arm64 --rounds 1      # NEON, and fuzzed
    python tests/emulate.py s390x                 # big-endian, no vectors
    python tests/emulate.py arm64 --count         # instructions, other paths beside

For Debian and its kin on x86-64, as root: QEMU and cross compilers are installed, the
Python of the other machine is unpacked into a folder of ours, with numpy and pytest
from Debian's packages (s390x) or the package index (arm64). ``--folder`` keeps it for
the next time.

``--count`` prints how many instructions a byte of text and a number take, on each path:
500 rows x 50 and 83 x 300, all of them read, none of them wanted, and measured. They
are the same in every run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
KERNEL = Path("pretrained_embed") / "kernel"
FLAGS = ["-std=c11", "-O3", "-shared", "-fPIC"]
FLAGS += ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
FLAGS += ["-Wno-cast-function-type"]
PYTHON = ["python3.11", "libpython3.11-dev", "libstdc++6"]
#: Not run: it maps more than the emulator has, and starts Python again.
NOT_HERE = "not larger_than_memory and not more_tokens_than and not test_choice"


class Machine(NamedTuple):
    """How another machine is called, and where its packages come from."""

    qemu: str
    compiler: str
    debian: list[str]
    index: str | None  # its platform in the names of wheels


MACHINES = {
    "arm64": Machine("qemu-aarch64", "aarch64-linux-gnu-gcc", [], "aarch64"),
    "s390x": Machine(
        "qemu-s390x",
        "s390x-linux-gnu-gcc",
        [
            f"python3-{name}"
            for name in ("numpy", "h5py", "pytest-xdist", "hypothesis", "click")
        ],
        None,
    ),
}
PACKAGES = ["numpy", "h5py", "pytest", "hypothesis", "click", "execnet", "pytest-xdist"]


def run(*command: object, **more: object) -> None:
    subprocess.run([str(part) for part in command], check=True, **more)  # type: ignore[call-overload]  # what run takes


def install_tools(machine: str) -> None:
    if shutil.which(MACHINES[machine].qemu) and shutil.which(
        MACHINES[machine].compiler
    ):
        return
    package = MACHINES[machine].compiler.removesuffix("-gcc")
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
    run("apt-get", "update", "-qq")
    run(*install, "qemu-user", f"gcc-{package}", f"libc6-dev-{machine}-cross")


def unpack(machine: str, packages: list[str], root: Path) -> None:
    """Unpack Debian's packages of another machine; this one's own are left alone."""
    state = root.with_suffix(".apt")
    for name in ("state/lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    options = {
        "APT::Architecture": machine,
        "APT::Architectures::": machine,
        "APT::Sandbox::User": "root",
        "Dir::State": state / "state",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Debug::NoLocking": 1,
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    run(*apt, "update")
    run(*apt, "install", "-y", "--no-install-recommends", "--download-only", *packages)
    for package in sorted((state / "cache/archives").glob("*.deb")):
        run("dpkg", "-x", package, root)
    shutil.rmtree(state)


def install_wheels(platform: str, site: Path) -> None:
    wheels = [f"--platform=manylinux_2_{libc}_{platform}" for libc in (17, 27, 28)]
    python = ["--python-version=3.11", "--implementation=cp"]
    abis = ["--abi=cp311", "--abi=abi3", "--abi=none"]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--only-binary=:all:"]
    run(*pip, "--target", site, *wheels, *python, *abis, *PACKAGES)


def prepare(machine: str, folder: Path) -> Path:
    """Return a program that is the other machine's Python."""
    this, root = MACHINES[machine], folder / f"root-{machine}"
    site, python = folder / f"site-{machine}", folder / f"python-{machine}"
    if python.exists():
        return python
    unpack(machine, [*PYTHON, *this.debian], root)
    site.mkdir(exist_ok=True)
    if this.index:
        install_wheels(this.index, site)
    triplet = this.compiler.removesuffix("-gcc")
    libraries = ":".join(f"/usr/lib/{triplet}/{name}" for name in ("blas", "lapack"))
    (site / "sitecustomize.py").write_text(f"import sys; sys.executable = '{python}'\n")
    python.write_text(
        f'#!/bin/sh\nexport PYTHONPATH="{site}:$PYTHONPATH"\n'
        f"exec {this.qemu} $QEMU_MORE -L {root} -E LD_LIBRARY_PATH={libraries} "
        f'{root}/usr/bin/python3.11 "$@"\n'
    )
    python.chmod(0o755)
    return python


def build(compiler: str, headers: Path, out: Path, *more: str) -> None:
    source = ROOT / KERNEL / "_kernel.c"
    include = ["-isystem", headers.parent, "-isystem", headers]
    run(compiler, *FLAGS, *more, *include, "-o", out, source)


def test(machine: str, folder: Path, python: Path, rounds: int) -> None:
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    for name in ("pretrained_embed", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    headers = folder / f"root-{machine}/usr/include/python3.11"
    build(MACHINES[machine].compiler, headers, copy / KERNEL / "_kernel.abi3.so")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{copy}:{copy / 'tests'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PRETRAINED_EMBED_KERNEL": "native",
        "CI": "true",
    }
    pytest = ["-m", "pytest", "-p", "no:cacheprovider", "-n0", "-k", NOT_HERE]
    if not MACHINES[machine].index:  # older ones, which do not know all options
        pytest += ["-o", "addopts=-q"]
    run(
        python,
        *pytest,
        "tests/kernel",
        "tests/test_byte_order.py",
        cwd=copy,
        env=environment,
    )
    if rounds:
        fuzz = ["tests/fuzz_kernel.py", "--rounds", rounds]
        run(python, *fuzz, cwd=copy, env=environment)


COUNTED = """
import importlib.util, sys
so, what, dim, calls, text = sys.argv[1:]
dim, calls = int(dim), int(calls)
spec = importlib.util.spec_from_file_location("_kernel", so)
kernel = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernel)
data = open(text, "rb").read()
def array(kind, *shape):
    size = {"q": 8, "f": 4, "B": 1}[kind]
    for n in shape:
        size *= n
    return memoryview(bytearray(size)).cast(kind, shape=list(shape))
rows = data.count(b"\\n") + 1
hits, faults, shapes = array("q", rows, 4), array("q", 9, 4), array("q", rows, 12)
vectors = array("f", rows, dim)
index = None
if what == "look":
    index = kernel.TokenIndex([b"unseen"], array("q", 1), array("B", 1))
for _ in range(calls):
    if what == "measure":
        kernel.measure_text(data, 0, len(data), True, shapes)
    else:
        kernel.scan_text(
            index, data, 0, len(data), True, dim, 32, 32, hits, vectors, faults
        )
print(kernel.PATH)
"""


def count(folder: Path, python: Path) -> None:
    """Print what calls take: of eleven less one, so that nothing else is counted."""
    plugin, native = folder / "count.so", f"{sys.base_prefix}/bin/python3"
    source = ROOT / "tests/kernel/count_instructions.c"
    run("gcc", "-O2", "-shared", "-fPIC", "-o", plugin, source)
    here, there = Path(sysconfig.get_path("include")), folder / "root-arm64/usr/include"
    kernels = {name: folder / f"{name}.so" for name in ("x86", "x86-scalar", "arm")}
    build("gcc", here, kernels["x86"])
    build("gcc", here, kernels["x86-scalar"], "-DPE_NO_VECTORS")
    build(MACHINES["arm64"].compiler, there / "python3.11", kernels["arm"])
    x86 = ["qemu-x86_64", "-plugin", str(plugin), "-cpu"]
    ways = [
        ("x86", [*x86, "max", native]),
        ("x86", [*x86, "max,-avx2", native]),
        ("x86-scalar", [*x86, "max", native]),
        ("arm", [str(python)]),
    ]
    drawn = random.Random(0)
    for dim in (50, 300):
        rows = [
            b"token%d " % i
            + b" ".join(b"%.5f" % drawn.gauss(0, 0.4) for _ in range(dim))
            for i in range(25_000 // dim)
        ]
        text = folder / f"text-{dim}"
        text.write_bytes(b"\n".join(rows) + b"\n")
        for kernel, command in ways:
            for what in ("all", "look", "measure"):
                counts, path = [], ""
                for calls in (1, 11):
                    out = folder / "counted"
                    more = {"COUNT_OUT": str(out), "PYTHONHASHSEED": "0"}
                    more["QEMU_MORE"] = f"-plugin {plugin}"
                    asked = [kernels[kernel], what, dim, calls, text]
                    path = subprocess.run(
                        [*command, "-c", COUNTED, *map(str, asked)],
                        check=True,
                        env={**os.environ, **more},
                        capture_output=True,
                        text=True,
                    ).stdout.strip()
                    counts.append(int(out.read_text()))
                one = (counts[1] - counts[0]) / 10
                a_byte, a_number = one / text.stat().st_size, one / (len(rows) * dim)
                sys.stdout.write(
                    f"{path:>8} {what:>8} dim {dim:>3}: "
                    f"{a_byte:6.2f} a byte {a_number:7.1f} a number\n"
                )
                sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("machine", choices=MACHINES)
    parser.add_argument("--rounds", type=int, default=0, help="of fuzzing")
    parser.add_argument("--count", action="store_true", help="instructions, no tests")
    parser.add_argument("--folder", type=Path, help="where what was fetched is kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        install_tools(options.machine)
        python = prepare(options.machine, folder)
        if options.count:
            count(folder, python)
        else:
            test(options.machine, folder, python, options.rounds)


if __name__ == "__main__":
    main()
