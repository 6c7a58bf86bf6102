"""Errors of parsers that mean damaged bytes, turned into errors of this package.

Parsers of Python and of other packages raise many kinds of exceptions. This module
lists the kinds that mean damaged bytes. Any other kind is a bug of this package and is
not caught.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pretrained_embed.errors import (
    FormatError,
    PretrainedEmbedError,
    SourceError,
    TruncatedError,
)

Value = TypeVar("Value")

#: The kinds in Python itself. Those that mean a bug are not among them:
#: `AttributeError`, `NameError`, `AssertionError`.
_OWN = (
    *(ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, EOFError),
    struct.error,
)
#: The kinds of other modules, which are looked up after an exception: a module that is
#: not imported has raised none.
_OF_MODULES = (
    *(("zlib", "error"), ("isal.isal_zlib", "error"), ("lzma", "LZMAError")),
    *(("compression.zstd", "ZstdError"), ("backports.zstd", "ZstdError")),
    *(("zipfile", "BadZipFile"), ("tarfile", "TarError"), ("csv", "Error")),
    *(("sqlite3", "Error"), ("sqlite3", "Warning"), ("pyarrow", "ArrowException")),
)
_LONGEST = 300  # characters of a cause that are shown


def parser_errors() -> tuple[type[Exception], ...]:
    """Return the kinds of exceptions that mean damaged bytes, without `OSError`."""
    found = [
        getattr(sys.modules[module], name)
        for module, name in _OF_MODULES
        if module in sys.modules
    ]
    return (*_OWN, *found)


def unless_damaged(read: Callable[[], Value]) -> Value | None:
    """Return the result of ``read``; ``None`` if the file is missing or damaged.

    `SourceError` is not caught.
    """
    try:
        return read()
    except SourceError:
        raise
    except OSError:
        return None
    except parser_errors():
        return None


@contextmanager
def refusing_damage(
    where: str,
    what: str = "the data is damaged",
    remedy: str = "; copy or download the file again",
    *,
    kind: type[PretrainedEmbedError] = FormatError,
) -> Iterator[None]:
    """Turn what a parser of the file ``where`` raises into an error of this package.

    The error is of class ``kind``, with the message ``"WHERE: WHAT (cause)REMEDY"`` and
    the exception as its cause. It is a `TruncatedError` if bytes are missing and no
    other kind was given, and a `SourceError` if the operating system refuses or memory
    is short. Errors of this package are not changed. `bz2` and h5py report damage by an
    `OSError`; unlike one of the operating system, it has no ``errno``.
    """
    try:
        yield
    except PretrainedEmbedError:
        raise
    except MemoryError as error:
        raise SourceError(
            f"{where}: there is not enough memory to read it{_because(error)}"
        ) from error
    except OSError as error:
        if error.errno is None:
            raise kind(f"{where}: {what}{_because(error)}{remedy}") from error
        raise SourceError(
            f"{where}: cannot be read: {error.strerror or error}"
        ) from error
    except EOFError as error:
        if kind is FormatError:
            raise TruncatedError(
                f"{where}: the data ends too early{_because(error)}; the file is "
                "incomplete, copy or download it again"
            ) from error
        raise kind(f"{where}: {what}{_because(error)}{remedy}") from error
    except parser_errors() as error:
        raise kind(f"{where}: {what}{_because(error)}{remedy}") from error


def _because(error: BaseException) -> str:
    """Return the cause in brackets."""
    if isinstance(error, RecursionError):
        return " (it is nested too deep)"
    if isinstance(error, KeyError):
        return f" (no {error})"[:_LONGEST]
    text = str(error)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    return f" ({text})" if text else ""
