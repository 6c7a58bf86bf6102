"""The README's examples run and print what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "----- end of example -----"


def tutorial() -> list[tuple[str, str]]:
    """Return each Python example with the output shown right below it."""
    blocks = BLOCK.findall(README.read_text("utf-8"))
    return [
        (code, following[1] if following[0] == "text" else "")
        for (kind, code), following in zip(blocks, [*blocks[1:], ("", "")], strict=True)
        if kind == "python"
    ]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Run all examples in one new process; return what each printed."""
    script = f"print({MARK!r})\n".join(code for code, _ in tutorial())
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path_factory.mktemp("readme"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split(f"{MARK}\n")


@pytest.mark.parametrize("number", range(len(tutorial())))
def test_example_prints_what_the_readme_shows(number: int, printed: list[str]) -> None:
    assert printed[number] == tutorial()[number][1]


def test_there_are_examples_with_output() -> None:
    assert sum(bool(output) for _, output in tutorial()) >= 5
