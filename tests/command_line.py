"""Running the command line: in this process, and as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from pretrained_embed.cli.program import program


def run(*args: str | Path, **options: Any) -> Result:
    """Run a command line in this process; no error may come out of it."""
    result = CliRunner().invoke(program, [*map(str, args)], **options)
    assert isinstance(result.exception, SystemExit | None)
    return result


def start(
    *args: str | Path, before: str = "", **options: Any
) -> subprocess.Popen[bytes]:
    """Start a command line in a new process, after some Python code of the test."""
    script = f"{before}\nfrom pretrained_embed.cli import main\nmain()"
    return subprocess.Popen([sys.executable, "-c", script, *map(str, args)], **options)


def finish(*args: str | Path, **options: Any) -> tuple[int, bytes, bytes]:
    """Run a command line in a new process; return code, output and errors."""
    process = start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    output, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
    return process.returncode, output, errors
