"""The README's examples run and print what the README says, and its links lead on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import pretrained_embed
from pretrained_embed.cli.program import program

README = Path(__file__).parent.parent / "README.md"
PACKAGE = Path(pretrained_embed.__file__).parent

#: A ``python`` block, with the ``text`` block right below it that it prints, if there
#: is one; or a ``console`` block of commands behind ``$`` and what they print.
EXAMPLE = re.compile(
    r"^```(python|console)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
COMMAND = re.compile(r"^(?:\$ |.*?\| )?(pretrained-embed .*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
MARK = "----- end of example -----"

#: How a command of a ``console`` block runs: in the same folder as the Python examples.
PREAMBLE = """
import shlex, subprocess, sys

def _run(line):
    words = shlex.split(line, comments=True)
    assert words[0] == "pretrained-embed", line
    run = subprocess.run(
        [sys.executable, "-m", "pretrained_embed", *words[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    print(run.stdout, end="")
"""


class Example(NamedTuple):
    code: str  # Python
    output: str


def examples() -> list[Example]:
    """Return each example, in order, with the output that is shown."""
    return [
        Example(body, output) if kind == "python" else _console(body)
        for kind, body, output in EXAMPLE.findall(README.read_text("utf-8"))
    ]


def _console(body: str) -> Example:
    lines = body.splitlines(keepends=True)
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    shown = (line for line in lines if not line.startswith("$ "))
    return Example("".join(f"_run({line!r})\n" for line in commands), "".join(shown))


def commands() -> list[str]:
    return COMMAND.findall(README.read_text("utf-8"))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Run all examples in one new process; return what each printed."""
    separator = f"sys.stdout.flush(); print({MARK!r})\n"
    script = PREAMBLE + separator.join(example.code for example in examples())
    run = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script],
        cwd=tmp_path_factory.mktemp("readme"),
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split(f"{MARK}\n")


@pytest.mark.parametrize("number", range(len(examples())))
def test_example_prints_what_the_readme_shows(number: int, printed: list[str]) -> None:
    assert printed[number] == examples()[number].output


def test_there_are_examples_with_output() -> None:
    assert sum(bool(example.output) for example in examples()) >= 15


@pytest.mark.parametrize("command", commands())
def test_command_is_spelled_as_the_program_has_it(command: str) -> None:
    words = command.partition(" # ")[0].split()[1:]
    found: click.Command = program
    while isinstance(found, click.Group):
        assert words, f"{found.name} is no command, but a group"
        found = found.commands[words.pop(0)]

    known = {name for parameter in found.params for name in parameter.opts}

    assert {word for word in words if word.startswith("--")} <= known


def test_every_command_is_shown() -> None:
    shown = {command.split()[1] for command in commands()}

    assert set(program.commands) <= shown


def test_every_folder_of_the_package_is_explained() -> None:
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}

    explained = README.read_text("utf-8").partition("## Development")[2]

    assert {name for name in folders if f"`{name}/`" not in explained} == set()


@pytest.mark.parametrize("target", sorted(set(LINK.findall(README.read_text("utf-8")))))
def test_link_leads_to_a_file(target: str) -> None:
    assert (README.parent / target).exists()
