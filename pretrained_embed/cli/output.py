"""The output of commands: text fit for any terminal, remarks, a progress bar."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

import click

from pretrained_embed.errors import WriteError

if TYPE_CHECKING:
    from pretrained_embed import EmbeddingMatrix
    from pretrained_embed.formats import Findings

_UNITS = ("kB", "MB", "GB", "TB")


def answer(text: str) -> None:
    """Print the result to standard output.

    Raises `WriteError` if it cannot be written, such as on a full disk.
    """
    if sys.stdout is None:
        raise WriteError("cannot write to the standard output: it is closed")
    try:
        click.echo(printable(text, sys.stdout.encoding))
    # the reader has closed the pipe; click ends without a message
    except BrokenPipeError:
        raise
    except OSError as error:
        raise WriteError(
            f"cannot write to the standard output: {error.strerror}"
        ) from error


def answer_json(value: Any) -> None:
    """Print JSON to standard output, in ASCII whatever the locale."""
    answer(json.dumps(value, indent=2))


def tell(text: str) -> None:
    """Print a remark to standard error, if there is one and it can be written."""
    if sys.stderr is not None:
        # full or closed: there is no other place to write to
        with suppress(OSError, ValueError):
            click.echo(printable(text, sys.stderr.encoding), err=True)


def printable(text: str, encoding: str | None = None) -> str:
    r"""Escape, as ``repr`` does, invisible and control characters.

    Line ends and all other characters of ``encoding`` are kept.

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
    """Return a number of bytes in decimal units; ``"?"`` for an unknown number.

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
    """Return a number with thousands separators; ``"?"`` for an unknown number."""
    return "?" if count is None else f"{count:,}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a number and its noun.

    >>> plural(1, "row"), plural(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def facts(pairs: Iterable[tuple[str, str | None]]) -> str:
    """Return names and values, one pair a line, without those that are ``None``."""
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
    """Refuse an output file with a wrong suffix, without a folder, or that is an input.

    Without ``suffixes`` any suffix is allowed.
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
    # Not Path.expanduser: a name that begins with ~ need not be a user's.
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


#: Seconds before a bar appears, and between two updates of it.
_DELAY = 1.0
_PERIOD = 0.1

_CELLS = 20


class Bar:
    """Draws a progress bar; called with bytes done and bytes in all.

    If fewer bytes are done than before, the next part of the work has begun. It draws
    nothing with ``quiet``, or if ``stream`` is no terminal. At the end of the context
    the line is cleared.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        # there is no standard error if it was closed, or under pythonw
        self._silent = quiet or self._stream is None or not self._stream.isatty()
        self._clock = clock
        self._next = clock() + _DELAY
        # the time, and the bytes done by then
        self._begun: tuple[float, int] | None = None
        self._done = 0
        self._width = 0  # of the line on the screen

    def __call__(self, done: int, total: int | None) -> None:
        """Draw the bar, if it is due."""
        if self._silent:
            return
        now = self._clock()
        if self._begun is None or done < self._done:
            self._begun = now, done
        self._done = done
        if now >= self._next:
            self._next = now + _PERIOD
            since, already = self._begun
            self._draw(_line(done, total, done - already, now - since))

    def _draw(self, line: str) -> None:
        line = line[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0


def _line(done: int, total: int | None, moved: int, seconds: float) -> str:
    """Return bar, share, bytes, speed and time left, as far as they are known."""
    speed = moved / seconds if seconds > 0 else 0.0
    parts = [size(done)]
    if total:
        share = min(done / total, 1.0)
        cells = int(share * _CELLS)
        parts = [
            f"[{'#' * cells}{'-' * (_CELLS - cells)}] {share:4.0%}",
            f"{size(done)} of {size(total)}",
        ]
    if speed:
        parts.append(f"{size(speed)}/s")
    if speed and total:
        minutes, rest = divmod(int(max(total - done, 0) / speed), 60)
        parts.append(f"{minutes}:{rest:02} left")
    return "  ".join(parts)


def remarks(findings: Findings) -> Iterator[str]:
    """Yield the remarks on a file, a line each."""
    for note in findings.notes:
        yield f"Note: {note}."
    if findings.duplicates:
        again = plural(findings.duplicates, "row repeats", "rows repeat")
        yield f"Note: {again} a token; the first row of a token counts."
    if findings.bad_rows:
        bad = plural(findings.bad_rows, "malformed row was", "malformed rows were")
        yield f"Warning: {bad} left out."
    if findings.suspicious_rows:
        doubtful = plural(findings.suspicious_rows, "row looks", "rows look")
        yield f"Warning: {doubtful} one value too long; read as they stand."
    for doubt in findings.doubts:
        place = f"row {doubt.row:,}" if doubt.line is None else f"line {doubt.line:,}"
        yield f"  {place}: {doubt.what}"
    if hidden := findings.bad_rows + findings.suspicious_rows - len(findings.doubts):
        yield f"  and {hidden:,} more"


def layout_notes(findings: Findings) -> list[str]:
    """Return the remarks on the layout of a file."""
    return [note for note in findings.notes if note.on_layout]


def rounding(matrix: EmbeddingMatrix) -> Iterator[str]:
    """Yield a line on how far rows moved when they were rounded, if they were."""
    from pretrained_embed.ledger import rounding_of

    told = [
        f"{what} {mean:.6f} in the mean, {worst:.6f} at worst"
        for what, mean, worst in rounding_of(matrix.provenance)
    ]
    if told:
        yield f"Note: rounded to {matrix.dtype}: {'; '.join(told)}."


def matrix_facts(matrix: EmbeddingMatrix) -> dict[str, Any]:
    """Return the facts about a matrix as JSON-compatible values."""
    import numpy as np

    from pretrained_embed.ledger import Origin

    codes, counts = np.unique(matrix.origin, return_counts=True)
    origins: Counter[str] = Counter()  # two functions may have the same name
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        origins[Origin(code).label(matrix.match)] += count
    return {
        "shape": list(matrix.shape),
        "dtype": matrix.dtype,
        "coverage": matrix.coverage.to_dict(),
        "origins": origins,
        "provenance": matrix.provenance,
        "findings": matrix.findings.facts,
    }


def shares(matrix: EmbeddingMatrix) -> Iterator[str]:
    """Yield a line for each of several sources: how many tokens it had."""
    for source in matrix.source_facts:
        coverage = source.get("coverage")
        if isinstance(coverage, dict):
            share = f"{coverage.get('found')} of {coverage.get('tokens')} tokens"
            yield f"  {source_name(source)}: {share} looked for there."


def source_name(source: Mapping[str, Any]) -> str | None:
    """Return the name of a source in the catalog, or the name of its file."""
    name = source.get("source") or source.get("name")
    return None if name is None else str(name)
