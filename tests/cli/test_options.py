"""The command line knows the words of options, as the package says, without numpy."""

import os
import subprocess
import sys

import pytest

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.program import SUMMARIES
from pretrained_embed.formats import plugins


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (options.CHOICES, pe.Recipe.choices()),
        (options.KINDS, pe.Vocabulary.KINDS),
        (options.PROJECTIONS, pe.EmbeddingMatrix.PROJECTIONS),
        (options.PICTURE_SUFFIXES, pe.EmbeddingMatrix.PICTURE_SUFFIXES),
        (options.REPORT_SUFFIXES, pe.Coverage.REPORT_SUFFIXES),
        (options.WRITABLE_FORMATS, pe.formats.WRITABLE_FORMATS),
        (options.WRITABLE_SUFFIXES, pe.formats.WRITABLE_SUFFIXES),
        (options.TARGET_SUFFIXES, pe.formats.TARGET_SUFFIXES),
        (options.PLUGINS, plugins.GROUP),
    ],
)
def test_words_are_those_of_the_package(here, there):
    assert here == there


def completed(*words):
    """Return what a shell is told after some words, by a process without numpy."""
    command = "import sys; sys.modules['numpy'] = None; "
    command += "from pretrained_embed.cli import main; main()"
    asked = {
        "_PRETRAINED_EMBED_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["pretrained-embed", *words]),
        "COMP_CWORD": str(len(words)),
    }
    return subprocess.run(
        [sys.executable, "-c", command],
        env={**os.environ, **asked},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()


def test_options_of_every_command_are_completed_without_numpy():
    program = """
import sys
sys.modules["numpy"] = None
from pretrained_embed.cli.program import SUMMARIES, program
from click.shell_completion import ShellComplete
for name in SUMMARIES:
    comp = ShellComplete(program, {}, "pretrained-embed", "_")
    print(name, *(item.value for item in comp.get_completions([name], "--")))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    told = dict(line.split(" ", 1) for line in ran.stdout.splitlines())

    assert set(told) == set(SUMMARIES)
    assert {"--vocab", "--oov", "--min-coverage"} <= set(told["build"].split())
    assert all("--help" in options for options in told.values())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["build", "--source", "glove-6"], "plain,glove-6b-50d"),
        (["build", "--oov", "ngram,nor"], "plain,ngram,normal"),
        (["convert", "a", "b", "--to", "glo"], "plain,glove"),
        (["cache", "remove", ""], ""),
    ],
    ids=str,
)
def test_values_are_completed_without_numpy(asked, said):
    assert said in (completed(*asked) or [""])
