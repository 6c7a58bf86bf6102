"""The documentation: its examples run and print what it says, and its links lead on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import pretrained_embed
from pretrained_embed.cli.program import program

ROOT = Path(__file__).parent.parent

#: Without the backend of Keras that other tests of this process may have chosen.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
PACKAGE = Path(pretrained_embed.__file__).parent

PAGES = [
    page.relative_to(ROOT).as_posix()
    for page in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / ".github").rglob("*.md")),
    ]
    if "_build" not in page.parts
]
NOTEBOOKS = [
    page.relative_to(ROOT).as_posix()
    for page in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
]

#: A ``python`` block, with the ``text`` block right below it that it prints, if there
#: is one; or a ``console`` block of commands behind ``$`` and what they print.
EXAMPLE = re.compile(
    r"^```(python|console)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
COMMAND = re.compile(r"^(?:\$ |.*?\| )?(pretrained-embed .*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)")

#: The process that runs the examples, one page after the other: to import the
#: frameworks once for each page takes minutes. A page has a folder, a `__main__` and an
#: environment of its own. What it prints is told by a line of JSON; what libraries and
#: other processes print goes to the file of errors.
RUNNER = """
import contextlib, gc, io, json, os, shlex, subprocess, sys, traceback, types

told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
environment = dict(os.environ)

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

for line in sys.stdin:
    page = json.loads(line)
    os.chdir(page["folder"])
    os.environ.clear()
    os.environ.update(environment)
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main._run = _run
    printed, error = [], ""
    for code in page["codes"]:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                exec(compile(code, page["name"], "exec"), vars(main))
            except BaseException:
                error = traceback.format_exc()
        printed.append(out.getvalue())
        if error:
            break
    print(json.dumps({"printed": printed, "error": error}), file=told, flush=True)
    gc.collect()
os._exit(0)
"""


class Example(NamedTuple):
    code: str  # Python
    output: str


class Runner(NamedTuple):
    """The process that runs the examples, and the file of what else it prints."""

    process: subprocess.Popen[str]
    errors: Path

    def run(self, page: str, folder: Path, codes: list[str]) -> list[str]:
        """Run the examples of a page in a folder; return what each printed."""
        asked, told = self.process.stdin, self.process.stdout
        assert asked is not None
        assert told is not None
        request = {"name": page, "folder": str(folder), "codes": codes}
        print(json.dumps(request), file=asked, flush=True)
        line = told.readline()
        assert line, self.errors.read_text("utf-8", "replace")
        answer = json.loads(line)
        assert not answer["error"], answer["error"]
        printed: list[str] = answer["printed"]
        return printed


def examples(page: str) -> list[Example]:
    """Return each example of a page, in order, with the output that is shown."""
    if page.endswith(".ipynb"):
        return list(_cells(page))
    return [
        Example(body, output) if kind == "python" else _console(body)
        for kind, body, output in EXAMPLE.findall(text_of(page))
    ]


def _console(body: str) -> Example:
    lines = body.splitlines(keepends=True)
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    shown = (line for line in lines if not line.startswith("$ "))
    return Example("".join(f"_run({line!r})\n" for line in commands), "".join(shown))


def _cells(page: str) -> Iterator[Example]:
    for cell in json.loads(text_of(page))["cells"]:
        if cell["cell_type"] == "code":
            printed = (line for out in cell["outputs"] for line in out.get("text", []))
            yield Example("".join(cell["source"]) + "\n", "".join(printed))


def text_of(page: str) -> str:
    return ROOT.joinpath(page).read_text("utf-8")


def commands() -> list[str]:
    found = (command for page in PAGES for command in COMMAND.findall(text_of(page)))
    return sorted(set(found))


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Start the process that runs the examples of all pages."""
    errors = tmp_path_factory.mktemp("runner") / "errors"
    with (
        errors.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-X", "utf8", "-c", RUNNER],
            env={**ENVIRONMENT, "MPLBACKEND": "agg"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
        ) as process,
    ):
        yield Runner(process, errors)
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize(
    "page", [page for page in [*PAGES, *NOTEBOOKS] if examples(page)]
)
def test_examples_print_what_the_page_shows(
    page: str, tmp_path: Path, runner: Runner
) -> None:
    shown = examples(page)

    printed = runner.run(page, tmp_path, [example.code for example in shown])

    assert printed == [example.output for example in shown]


def test_there_are_examples_with_output() -> None:
    outputs = [example.output for page in PAGES for example in examples(page)]

    assert sum(map(bool, outputs)) >= 40


@pytest.mark.parametrize("command", commands())
def test_command_is_spelled_as_the_program_has_it(command: str) -> None:
    words = command.partition(" # ")[0].split()[1:]
    found: click.Command = program
    while isinstance(found, click.Group):
        if words[:1] == ["--help"]:
            return
        assert words, f"{found.name} is no command, but a group"
        found = found.commands[words.pop(0)]

    known = {name for parameter in found.params for name in parameter.opts}

    assert {word for word in words if word.startswith("--")} <= known


def test_every_command_is_shown() -> None:
    page = text_of("docs/reference/commands.md")
    shown = {command.split()[1] for command in COMMAND.findall(page)}

    assert set(program.commands) <= shown


def test_every_folder_of_the_package_is_explained() -> None:
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}

    explained = text_of("docs/architecture.md")

    assert {name for name in folders if f"`{name}/`" not in explained} == set()


def test_every_public_name_is_in_the_reference() -> None:
    pages = [page for page in PAGES if page.startswith("docs/reference/")]
    directive = r"^\.\. (?:autofunction|autoclass|data):: (\w+)$"
    named = {
        name
        for page in pages
        for name in re.findall(directive, text_of(page), re.MULTILINE)
    }
    named |= set(re.findall(r"\w+Error", text_of("docs/reference/errors.md")))

    assert set(pretrained_embed.__all__) <= named


def test_every_page_is_in_a_table_of_contents() -> None:
    """Pages that no other page leads to are not found by who reads the repository."""
    led_to = {
        Path(ROOT, page).parent.joinpath(target).resolve()
        for page in PAGES
        for target in LINK.findall(text_of(page))
    }
    pages = {ROOT.joinpath(page) for page in PAGES if page.startswith("docs/")}

    assert pages - led_to == {ROOT / "docs" / "index.md"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    folder = ROOT.joinpath(page).parent

    missing = [
        target
        for target in LINK.findall(text_of(page))
        if not folder.joinpath(target).exists()
    ]

    assert missing == []
