"""What to add to click's message where a command line is a well-known mistake."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

#: Options that other programs have, and what does the same here.
_ELSEWHERE = {
    **dict.fromkeys(
        ("--dim", "--dims", "--dimension", "--size", "--vector-size"),
        "The dim is that of --source: name vectors of the dim you want, such as "
        "glove-6b-300d, or make it less with --post pca:50.",
    ),
    **dict.fromkeys(
        ("--lower", "--lowercase", "--ignore-case"),
        "--match exact,lower looks for tokens in lower case, too.",
    ),
    **dict.fromkeys(
        ("--vectors", "--embeddings", "--input", "--model"), "Vectors are --source."
    ),
    "--extend": "It is --onto now.",
    "--min-token-coverage": "It is --min-text-coverage now.",
    "--on-bad-row": "It is --bad-rows now: --bad-rows 100% leaves out any number.",
    "--max-bad-rows": "It is --bad-rows now, which needs no other option.",
    "--unk-oov": "It is --special-oov unk=POLICY now.",
    **dict.fromkeys(("--pad",), "The token of the padding row is --pad-token."),
    **dict.fromkeys(("--unk",), "The token of unknown ones is --unk-token."),
    **dict.fromkeys(("--format", "--type"), "The suffix of --output names the format."),
    **dict.fromkeys(
        ("--force", "--overwrite"), "It is not needed: --output replaces what is there."
    ),
}
#: Commands that had another name.
_FORMER_COMMANDS = {"doctor": "examine", "report": "page"}
_OPTION = re.compile(r"--[a-z][a-z-]*")
_LIST = re.compile(r",\.\.\.$")  # the end of the metavar of an option that takes a list


def remedy(error: click.UsageError, args: Sequence[str]) -> str:
    """Return a sentence that tells what to write instead; "" where none is known."""
    if error.ctx is None:
        return ""
    if isinstance(error.ctx.command, click.Group):
        now = next((_FORMER_COMMANDS[w] for w in args if w in _FORMER_COMMANDS), None)
        return f"It is {now} now." if now else ""
    options = {
        name: parameter
        for parameter in error.ctx.command.params
        for name in parameter.opts
        if name.startswith("-")
    }
    if isinstance(error, click.NoSuchOption):
        told = _ELSEWHERE.get(error.option_name, "")
        return told if options.keys() >= {*_OPTION.findall(told)} else ""
    words = _loose_words(args, error.ctx.command.name, options)
    if not words:
        return ""
    if isinstance(error, click.MissingParameter):
        name = next(iter(error.param.opts), "") if error.param else ""
        loose = next(iter(words))
        return f"Write {name} {loose}." if name in options else ""
    if not error.message.startswith("Got unexpected extra"):
        return ""
    word, before = next(iter(words.items()))
    listed = options.get(before)
    if listed is not None and _LIST.search(str(listed.metavar)):
        values = [args[list(args).index(before) + 1], *words]
        return f"Write {before} {','.join(values)}: commas, and no blanks."
    if "--vocab" in options and "--vocab-from" in options:
        given = {arg.partition("=")[0] for arg in args}
        if given.isdisjoint(("--vocab", "--vocab-from")):
            return f"Write --vocab {word}."
    if "--source" in options and Path(word).exists():
        return f"Vectors are named by --source: write --source {word}."
    return ""


def _loose_words(
    args: Sequence[str], command: str | None, options: dict[str, click.Parameter]
) -> dict[str, str]:
    """Return the words that belong to no option, each with the option before it."""
    words: dict[str, str] = {}
    last, takes = "", False
    rest = args[args.index(command) + 1 :] if command in args else args
    for word in rest:
        if word.startswith("-") and word != "-":
            last = word.partition("=")[0]
            flag = getattr(options.get(last), "is_flag", False)
            takes = not flag and "=" not in word
        elif takes:
            takes = False
        else:
            words.setdefault(word, last)
    return words
