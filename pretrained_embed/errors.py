"""All errors that this package raises on purpose.

::

    PretrainedEmbedError
    ├── OptionError            ValueError    an argument or option has a wrong value
    ├── VocabularyError        ValueError    the vocabulary given cannot be used
    │   └── UnknownTokenError  KeyError      a token is not in the vocabulary
    ├── FormatError            ValueError    bytes do not fit their format │   ├──
    UnknownFormatError               no format recognises them │   ├── RowError
    one row is malformed │   └── TruncatedError                   the bytes end too
    early ├── WriteError             ValueError    a format cannot hold the data ├──
    SourceError            OSError       a named source cannot be reached or used │
    └── UnknownSourceError               no source of that name, and no such file ├──
    WorkerError            RuntimeError  part of the work failed in every worker ├──
    MissingPackageError    ImportError   an optional package has to be installed ├──
    CoverageError          ValueError    too few tokens were found, or none │   └──
    OOVError                         a token was not found and may not be filled └──
    ShapeError             ValueError    a matrix does not fit its target

Errors also inherit from the built-in class on the right. A message says what is wrong,
where (file and line, or offset), and how to fix it.
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
    """An argument or option has a wrong value."""


class VocabularyError(PretrainedEmbedError, ValueError):
    """A vocabulary is empty, has a token twice, or cannot be read."""


class UnknownTokenError(VocabularyError, KeyError):
    """A token is not in the vocabulary, which has no unk token to use instead."""

    __str__ = Exception.__str__  # KeyError would show the message as a quoted key


class FormatError(PretrainedEmbedError, ValueError):
    """The bytes of a file do not fit its format.

    Parameters
    ----------
    message : str
        What is wrong, where, and how to fix it.
    code : str, optional
        The cause, for programs; the reference lists the codes.
    way : str, optional
        How a caller leaves malformed rows out, which ends the message; ``None`` if
        there is no way.
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

    Parameters
    ----------
    message : str
        What is wrong, where, and how to fix it.
    line : int, optional
        The number of the row's line, from 1; ``None`` in a binary file.
    found : str, default ""
        The content of the row.
    code, way : str, optional
        As in `FormatError`.
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


#: How to leave malformed rows out, for a caller of a reader, of a function with limits,
#: and of a function without.
BY_READER = "pass on_bad_row='skip'"
BY_LIMITS = "give limits=pe.Limits(bad_rows=...)"
BY_COPY = "make a copy by pe.convert(source, out, limits=pe.Limits(bad_rows=1.0))"


@contextmanager
def left_out(way: str) -> Iterator[None]:
    """Make errors for malformed rows name the option of the caller; also a decorator.

    A reader names its own option, which a caller further out does not have. The
    outermost name is used.

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
    """A format cannot hold the data so that they read back unchanged."""


class SourceError(PretrainedEmbedError, OSError):
    """A source of vectors cannot be reached or used."""


class UnknownSourceError(SourceError):
    """The name is not a known source, a path or a URL."""


class WorkerError(PretrainedEmbedError, RuntimeError):
    """A part of the work failed in every worker that got it."""


class MissingPackageError(PretrainedEmbedError, ImportError):
    """An optional package is needed; the message says how to install it."""


@contextmanager
def needing_package(what: str) -> Iterator[None]:
    """Around an import: if the package is missing, say that ``what`` needs it.

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
    """Fewer tokens were found in the source than required, or none at all."""


class OOVError(CoverageError):
    """Tokens were not found and ``oov="error"`` forbids filling their rows."""


class ShapeError(PretrainedEmbedError, ValueError):
    """A matrix and its target differ in shape."""


def suggestion(
    given: str, known: Iterable[str], others: Mapping[str, str] | None = None
) -> str:
    """Return ``"; did you mean ...?"`` for a word close to a known one, or ``""``.

    ``others`` are words of other tools, with the known word of the same meaning.
    """
    import difflib

    others = others or {}
    near = difflib.get_close_matches(given.lower(), [*known, *others], 1)
    return f"; did you mean {others.get(near[0], near[0])!r}?" if near else ""


def commas(given: str, known: Collection[str]) -> str:
    """Return advice for known words that are not separated by commas."""
    names = re.split(r"[\s;|/&+]+", given.strip())
    if len(names) < 2 or not all(name in known for name in names):
        return ""
    return f"; write commas between: {','.join(names)!r}"


class _Brief(reprlib.Repr):
    """Shortens a value that is too long to read, by leaving out the middle."""

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

    If it is longer than 60 characters, the middle is left out. Every message that shows
    a value of a user's file or list uses this.

    >>> print(brief("the"), brief("a" * 1_000_000))
    'the' 'aaaaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaaaa'
    """
    return _BRIEF.repr(value)


_BRIEF = _Brief()


def given(name: str, value: Value | None, kind: type[Value]) -> Value:
    """Return an argument of a class, by default a default instance of it.

    Raises `OptionError` for an instance of another class.
    """
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise OptionError(
            f"{name} is {brief(value)}; give {name}=pe.{kind.__name__}(...)"
        )
    return value
