"""Every error this package raises on purpose.

::

    PretrainedEmbedError
    ├── OptionError            ValueError    an argument or option is not one we know
    ├── VocabularyError        ValueError    the vocabulary given cannot be used
    │   └── UnknownTokenError  KeyError      a token is not in the vocabulary
    ├── FormatError            ValueError    bytes that are not what their format says
    │   ├── UnknownFormatError               no format recognises them
    │   ├── RowError                         one row is malformed
    │   └── TruncatedError                   the bytes end too early
    ├── WriteError             ValueError    a format cannot hold what it was given
    ├── SourceError            OSError       a named source cannot be reached or used
    │   └── UnknownSourceError               no source of that name, and no such file
    ├── WorkerError            RuntimeError  part of the work failed in every worker
    ├── MissingPackageError    ImportError   an optional package has to be installed
    ├── CoverageError          ValueError    too few tokens were found, or none
    │   └── OOVError                         a token was not found and may not be filled
    └── ShapeError             ValueError    a matrix does not fit where it is to go

Leaves also inherit the built-in that callers already catch. A message says what is
wrong, where (file and line, or offset), and what to do about it.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

Value = TypeVar("Value")

#: How many characters of a value a message shows.
_LENGTH = 60


class PretrainedEmbedError(Exception):
    """Base of all errors of this package."""


class OptionError(PretrainedEmbedError, ValueError):
    """An argument or option has a value that means nothing here."""


class VocabularyError(PretrainedEmbedError, ValueError):
    """A vocabulary is empty, repeats itself, or cannot be read."""


class UnknownTokenError(VocabularyError, KeyError):
    """A token is not in the vocabulary, and no unk token stands in for it."""

    __str__ = Exception.__str__  # KeyError would show the message as a quoted key


class FormatError(PretrainedEmbedError, ValueError):
    """The bytes of a file are not what their format says they are.

    ``code`` names the cause for programs, where it has one; the reference lists them.
    ``way`` is what leaves malformed rows out, as a caller writes it; ``None`` where
    nothing does. It ends the message.
    """

    def __init__(
        self, message: str, *, code: str | None = None, way: str | None = None
    ):
        super().__init__(message)
        self.code = code
        self.way = way

    def __str__(self) -> str:
        message = super().__str__()
        if self.way is None:
            return message
        return f"{message}, or {self.way} to leave such rows out, counted"


class UnknownFormatError(FormatError):
    """No format recognises the content."""


class RowError(FormatError):
    """One row of a file is malformed.

    ``line`` is the 1-based number of the row's line, or ``None`` in a binary file;
    ``found`` says what stands there.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        found: str = "",
        code: str | None = None,
        way: str | None = None,
    ):
        super().__init__(message, code=code, way=way)
        self.line = line
        self.found = found


class TruncatedError(FormatError):
    """The bytes end before the format says they do."""


#: What leaves malformed rows out, for who calls a reader, a function that has limits,
#: and one that has none.
BY_READER = "pass on_bad_row='skip'"
BY_LIMITS = "give limits=pe.Limits(bad_rows=...)"
BY_COPY = "make a copy by pe.convert(source, out, limits=pe.Limits(bad_rows=1.0))"


@contextmanager
def left_out(way: str) -> Iterator[None]:
    """Around what reads rows: an error for a malformed one names the caller's way.

    A reader names its own option, which the callers of a caller do not have. The
    outermost one is heard. Also a decorator.

    >>> with left_out("give --bad-rows N"):
    ...     raise RowError("line 2. Mend it", way=BY_READER)
    Traceback (most recent call last):
    pretrained_embed.errors.RowError: line 2. Mend it, or give --bad-rows N to \
leave such rows out, counted
    """
    try:
        yield
    except FormatError as error:
        if error.way is not None:
            error.way = way
        raise


class WriteError(PretrainedEmbedError, ValueError):
    """A format cannot hold what it was given so that it would read back the same."""


class SourceError(PretrainedEmbedError, OSError):
    """A source of vectors cannot be reached or used."""


class UnknownSourceError(SourceError):
    """The name is no known source, no path and no URL."""


class WorkerError(PretrainedEmbedError, RuntimeError):
    """A part of the work failed in every worker that an executor gave it to."""


class MissingPackageError(PretrainedEmbedError, ImportError):
    """An optional package is needed; the message says how to install it."""


@contextmanager
def needing_package(what: str) -> Iterator[None]:
    """Around an import: where the package is not installed, say that ``what`` needs it.

    Raises `MissingPackageError`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "a package").partition(".")[0]
        raise MissingPackageError(
            f"{what} needs {package}, which is not installed: pip install {package}"
        ) from error


class CoverageError(PretrainedEmbedError, ValueError):
    """Fewer tokens were found in the source than was asked for, or none at all."""


class OOVError(CoverageError):
    """Tokens were not found and ``oov="error"`` forbids filling their rows."""


class ShapeError(PretrainedEmbedError, ValueError):
    """A matrix and the place it should go to differ in shape."""


def suggestion(
    given: str, known: Iterable[str], others: Mapping[str, str] | None = None
) -> str:
    """Return ``"; did you mean ...?"`` for a word that is nearly known, or ``""``.

    ``others`` are words of other people, and what is known of the same meaning.
    """
    import difflib

    others = others or {}
    near = difflib.get_close_matches(given.lower(), [*known, *others], 1)
    return f"; did you mean {others.get(near[0], near[0])!r}?" if near else ""


def commas(given: str, known: Collection[str]) -> str:
    """Return what to say of known words with something else than commas between."""
    names = re.split(r"[\s;|/&+]+", given.strip())
    if len(names) < 2 or not all(name in known for name in names):
        return ""
    return f"; write commas between: {','.join(names)!r}"


class _Brief(reprlib.Repr):
    """Cuts what is too long to be read in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = _LENGTH

    def repr_bytes(self, value: bytes, level: int) -> str:
        whole = repr(value[:_LENGTH])
        if len(value) <= _LENGTH >= len(whole):
            return whole
        half = _LENGTH // 2 - 2
        return f"{whole[:half]}...{repr(value[-half:])[-half:]}"


def brief(value: object) -> str:
    """Return the ``repr`` of a token or another value, cut to a readable length.

    Of what is longer than 60 characters the middle is left out. Every message that
    shows what somebody's file or list holds shows it so.

    >>> print(brief("the"), brief("a" * 1_000_000))
    'the' 'aaaaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaaaa'
    """
    return _BRIEF.repr(value)


_BRIEF = _Brief()


def given(name: str, value: Value | None, kind: type[Value]) -> Value:
    """Return an argument of a kind, by default the usual one of it.

    Raises `OptionError` for another kind.
    """
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise OptionError(
            f"{name} is {brief(value)}; give {name}=pe.{kind.__name__}(...)"
        )
    return value
