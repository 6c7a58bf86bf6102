"""Which kernel runs, and what it leaves behind: seen from outside, in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from kernels import token_index

from pretrained_embed import kernel


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
