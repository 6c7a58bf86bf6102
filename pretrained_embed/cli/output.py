"""Text to standard output and standard error, fit for any terminal and encoding."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

import click

from pretrained_embed import WriteError


def answer(text: str) -> None:
    """Print what was asked for to standard output.

    Raises `WriteError` where it cannot be written there, such as on a full disk.
    """
    if sys.stdout is None:
        raise WriteError("cannot write to the standard output: it is closed")
    try:
        click.echo(printable(text, sys.stdout.encoding))
    except BrokenPipeError:  # the reader has seen enough; click ends in silence
        raise
    except OSError as error:
        raise WriteError(
            f"cannot write to the standard output: {error.strerror}"
        ) from error


def answer_json(value: Any) -> None:
    """Print JSON to standard output, in ASCII whatever the locale."""
    answer(json.dumps(value, indent=2))


def tell(text: str) -> None:
    """Print a remark to standard error, if there is one and it can be written to."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):  # full, or closed: there is no other place
            click.echo(printable(text, sys.stderr.encoding), err=True)


def printable(text: str, encoding: str | None = None) -> str:
    r"""Escape, as ``repr`` does, what would change the terminal or not be seen.

    Line ends stay. So does everything else that ``encoding`` can hold.

    >>> printable("caf\xe9\x1b[2J\n", "ascii")
    'caf\\xe9\\x1b[2J\n'
    """
    if not text.isprintable():
        text = "".join(
            c if c == "\n" or c.isprintable() else repr(c)[1:-1] for c in text
        )
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
