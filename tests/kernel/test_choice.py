"""Which kernel runs, and what it leaves behind: seen from outside, in a new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from kernels import token_index

from pretrained_embed import kernel
from pretrained_embed.kernel import choice


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc"
)
def test_an_index_gives_all_its_memory_back(kernel_pair):
    ran = run(
        """
        import os, sys
        import numpy as np
        from pretrained_embed.kernel import _kernel
        from pretrained_embed.arrays import PackedTokens
        tokens = [*(f"token{i}" for i in range(20_000)), "caf\\udce9"]
        packed = PackedTokens.pack(tokens)
        rows, ranks = np.arange(20_001, dtype=np.int64), np.zeros(20_001, np.uint8)
        high_rows, high_ranks = rows + 2**40, ranks + 1
        def used(turns):
            for turn in range(turns):
                index = _kernel.TokenIndex(tokens, rows, ranks)
                index.wanted(7)
                _kernel.TokenIndex(packed, high_rows, high_ranks)
                try:
                    _kernel.TokenIndex([*tokens[1:], None], rows, ranks)
                except TypeError:
                    pass
            with open("/proc/self/statm") as file:
                pages = int(file.read().split()[1])
            return pages * os.sysconf("SC_PAGESIZE"), sys.getallocatedblocks()
        print(*used(100), *used(400))
        """
    )

    memory, blocks, memory_after, blocks_after = map(int, ran.stdout.split())
    assert memory_after - memory < 4e6  # the smallest part left behind: 20 kB a turn
    assert blocks_after - blocks < 200  # one object left behind: 400


def test_a_native_index_takes_some_bytes_a_token_beside_its_own(kernel_pair):
    wanted = [(f"token{i:05}", i, 0) for i in range(10_000)]

    index = token_index(kernel_pair[0], wanted)

    assert index.nbytes < (10 + 16) * 10_000


@pytest.mark.parametrize("choice", ["native", "reference"])
def test_the_environment_chooses_the_kernel(kernel_pair, choice):
    ran = run(
        "from pretrained_embed import kernel;"
        "print(kernel.IMPLEMENTATION, kernel.number(b'0.5'))",
        PRETRAINED_EMBED_KERNEL=choice,
    )

    assert ran.stdout == f"{choice} 0.5\n"


def test_an_unknown_kernel_is_refused():
    ran = run("import pretrained_embed.kernel", PRETRAINED_EMBED_KERNEL="nonsense")

    assert ran.returncode == 1
    assert "OptionError: PRETRAINED_EMBED_KERNEL is 'nonsense'" in ran.stderr


def test_without_a_native_kernel_the_reference_runs_unless_native_was_asked_for():
    hide = "import sys; sys.modules['pretrained_embed.kernel._kernel'] = None;"
    code = hide + "from pretrained_embed import kernel; print(kernel.IMPLEMENTATION)"

    refused = run(code, PRETRAINED_EMBED_KERNEL="native")

    assert run(code, PRETRAINED_EMBED_KERNEL="").stdout == "reference\n"
    assert refused.returncode == 1
    assert "_kernel" in refused.stderr.splitlines()[-1]


def test_both_kernels_have_the_same_names(kernel_pair):
    for name in kernel.__all__:
        if not name.isupper():
            assert all(callable(getattr(kernel, name)) for kernel in kernel_pair), name
    assert [module.IMPLEMENTATION for module in kernel_pair] == ["native", "reference"]


def test_a_test_of_both_kernels_runs_all_of_one(both_kernels):
    for name in ["IMPLEMENTATION", *kernel.__all__]:
        shared = name.isupper() and name != "IMPLEMENTATION"
        assert shared or getattr(kernel, name) is getattr(both_kernels, name), name


# No slow kernel in silence

HIDE = "import sys; sys.modules['pretrained_embed.kernel._kernel'] = None\n"
MAIN = f"{HIDE}from pretrained_embed.cli import main\n"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file of a little more than 8 MiB, in both formats that the kernel reads."""
    folder = tmp_path_factory.mktemp("large")
    vector = np.arange(300, dtype="<f4")
    row = b"".join(b" %d" % number for number in vector.tolist())
    rows = (9 << 20) // len(row)
    text = b"".join(b"w%d%s\n" % (number, row) for number in range(rows))
    (folder / "v.txt").write_bytes(text)
    packed = [b"w%d " % number + vector.tobytes() for number in range(rows)]
    head = b"%d 300\n" % rows
    (folder / "v.bin").write_bytes(head + b"".join(packed))
    (folder / "few.txt").write_bytes(text[: 1 << 20].rpartition(b"\n")[0] + b"\n")
    return folder


def built(folder: Path, *names: str, hide: bool = True, **environment: str) -> str:
    """Build from files in a new process; return what it says on standard error."""
    code = "import pretrained_embed as pe\n" + "".join(
        f"pe.build_matrix(['w1'], {str(folder / name)!r}, work=pe.Work(1))\n"
        for name in names
    )
    ran = run((HIDE if hide else "") + code, **environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


@pytest.mark.parametrize("name", ["v.txt", "v.bin"])
def test_the_slow_kernel_says_so_once_and_how_to_be_rid_of_it(large, name):
    said = built(large, name, name, PRETRAINED_EMBED_KERNEL="")

    assert said.count("SlowKernelWarning: ") == 1
    assert "native kernel" in said
    assert f"{sys.executable} -m pip install" in said


def test_the_slow_kernel_is_silent_where_it_was_asked_for_or_has_little_to_do(large):
    assert built(large, "v.txt", PRETRAINED_EMBED_KERNEL="reference") == ""
    assert built(large, "few.txt", "few.txt", PRETRAINED_EMBED_KERNEL="") == ""


def test_the_native_kernel_has_nothing_to_say(kernel_pair, large):
    assert built(large, "v.txt", hide=False, PRETRAINED_EMBED_KERNEL="native") == ""


def test_the_command_says_it_in_one_line_unless_it_is_to_be_quiet(large, tmp_path):
    (tmp_path / "vocab.txt").write_text("w1\n")
    words = ["build", "--vocab", str(tmp_path / "vocab.txt"), "--source"]
    words += [str(large / "v.txt"), "-o", str(tmp_path / "m.npz")]

    def said(*more: str) -> list[str]:
        code = (
            f"from pretrained_embed.cli import main; sys.argv[1:] = {[*words, *more]}"
        )
        ran = run(f"{HIDE}{code}\nmain()", PRETRAINED_EMBED_KERNEL="")
        assert ran.returncode == 0, ran.stderr
        return [line for line in ran.stderr.splitlines() if "native kernel" in line]

    (line,) = said()
    assert line.startswith("Note: vectors are read without the native kernel")
    assert said("--quiet") == []


@pytest.fixture
def lacking(monkeypatch, tmp_path):
    """A place without a native kernel, to be made a checkout or an installation."""
    here = tmp_path / "place" / "pretrained_embed" / "kernel"
    here.mkdir(parents=True)
    monkeypatch.setattr(choice, "missing", ImportError("no such module"))
    monkeypatch.setattr(choice, "_HERE", here)
    monkeypatch.setattr(choice, "_ROOT", here.parents[1])
    monkeypatch.setattr(sys, "path", [str(tmp_path / "place")])
    return here


def test_a_checkout_that_is_not_built_is_named_and_so_is_the_copy_that_is(
    lacking, tmp_path, monkeypatch
):
    (lacking.parents[1] / "pyproject.toml").touch()

    assert choice.reason() == (
        f"{lacking.parents[1]} is a checkout, and its native kernel is not built"
    )
    assert choice.remedy() == (
        f"run: {sys.executable} -m pip install -e {lacking.parents[1]}"
    )
    copy = tmp_path / "installed"
    (copy / "pretrained_embed" / "kernel").mkdir(parents=True)
    (copy / "pretrained_embed" / "kernel" / "_kernel.abi3.so").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(copy)])
    assert choice.remedy().endswith(
        f"or start Python in another folder: the copy in {copy} has one"
    )


def test_an_installation_says_why_it_has_none(lacking):
    assert "was built when the package was installed" in choice.reason()
    assert choice.remedy().startswith("install a C compiler, then run: ")

    (lacking / "_kernel.abi3.so").write_bytes(b"of another machine")

    assert choice.reason() == ("the native kernel does not load here (no such module)")


def test_info_says_why_the_kernel_is_the_reference():
    code = f"{MAIN}sys.argv[1:] = ['info', '--json']\nmain()"

    def known(**environment: str) -> dict[str, object]:
        return json.loads(run(code, **environment).stdout)

    lacks = known(PRETRAINED_EMBED_KERNEL="")
    asked = known(PRETRAINED_EMBED_KERNEL="reference")

    assert lacks["kernel"] == asked["kernel"] == "reference"
    assert "native kernel" in lacks["kernel_reason"]
    assert "pip install" in lacks["kernel_remedy"]
    assert asked["kernel_reason"] == "PRETRAINED_EMBED_KERNEL asks for it"
    assert asked["kernel_remedy"] is None
