"""What a command puts out: text fit for any terminal and encoding, and files."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from pretrained_embed.errors import WriteError

_UNITS = ("kB", "MB", "GB", "TB")


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


def size(count: float | None) -> str:
    """Return a number of bytes in decimal units; ``"?"`` where it is not known.

    >>> size(999), size(69_182_535), size(None)
    ('999 B', '69.2 MB', '?')
    """
    if count is None:
        return "?"
    if count < 1000:
        return f"{count:.0f} B"
    power = 1
    while power < len(_UNITS) and count >= 999.95 * 1000**power:
        power += 1
    return f"{count / 1000**power:.1f} {_UNITS[power - 1]}"


def number(count: int | None) -> str:
    """Return a number with its thousands apart; ``"?"`` where it is not known."""
    return "?" if count is None else f"{count:,}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a number and its noun.

    >>> plural(1, "row"), plural(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def facts(pairs: Iterable[tuple[str, str | None]]) -> str:
    """Return names and values, one pair a line; values that are ``None`` left out."""
    known = [(name, value) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    return "\n".join(f"{name:{width}}  {value}" for name, value in known)


def check_target(
    target: Path,
    option: str,
    suffixes: Sequence[str] | None,
    *,
    vocabulary: str,
    sources: Sequence[str],
) -> None:
    """Refuse a place of another suffix, in no folder, or of a file that is read.

    Without ``suffixes`` any will do.
    """
    hint = f"'{option}'"
    if str(target) == "-":
        raise click.BadParameter(
            "it is written to a file, not to standard output: name one"
            + (f" that ends in {' '.join(suffixes)}" if suffixes else ""),
            param_hint=hint,
        )
    if suffixes is not None and target.suffix.lower() not in suffixes:
        raise click.BadParameter(
            f"{str(target)!r} does not end in one of {' '.join(suffixes)}",
            param_hint=hint,
        )
    if not target.parent.is_dir():
        raise click.BadParameter(
            f"there is no folder {str(target.parent)!r}: make it first, "
            f"mkdir -p {shlex.quote(str(target.parent))}",
            param_hint=hint,
        )
    # Not Path.expanduser: a name that begins with ~ need not be that of a user.
    paths = [Path(os.path.expanduser(source)) for source in sources]  # noqa: PTH111
    for name, path in (
        ("vocabulary", Path(vocabulary)),
        *(("source", path) for path in paths),
    ):
        if target.exists() and path.exists() and target.samefile(path):
            raise click.BadParameter(
                f"it would take the place of the {name}, {str(path)!r}",
                param_hint=hint,
            )
