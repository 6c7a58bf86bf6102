"""Errors of parsers that mean damaged bytes, turned into errors of this package.

Parsers of Python and of other packages raise exceptions of many kinds. The list of the
kinds that mean damaged bytes is here. Any other is a fault of this package: it is not
caught.
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

#: Python's own kinds. What means a fault of ours is none of them: `AttributeError`,
#: `NameError`, `AssertionError`.
_OWN = (
    *(ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, EOFError),
    struct.error,
)
#: Those of modules, which are looked up when something was raised: what is not
#: imported has raised nothing.
_OF_MODULES = (
    *(("zlib", "error"), ("isal.isal_zlib", "error"), ("lzma", "LZMAError")),
    *(("compression.zstd", "ZstdError"), ("backports.zstd", "ZstdError")),
    *(("zipfile", "BadZipFile"), ("tarfile", "TarError"), ("csv", "Error")),
    *(("sqlite3", "Error"), ("sqlite3", "Warning"), ("pyarrow", "ArrowException")),
)
_LONGEST = 300  # characters of a cause


def parser_errors() -> tuple[type[Exception], ...]:
    """Return the kinds of exceptions that mean damaged bytes, but for `OSError`."""
    found = [
        getattr(sys.modules[module], name)
        for module, name in _OF_MODULES
        if module in sys.modules
    ]
    return (*_OWN, *found)


def unless_damaged(read: Callable[[], Value]) -> Value | None:
    """Return what ``read`` does; ``None`` where it is not there, or damaged.

    `SourceError` comes through.
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

    That is one of ``kind``, ``"WHERE: WHAT (cause)REMEDY"``, with the exception as its
    cause; `TruncatedError` where bytes are missing, unless another kind is asked for;
    `SourceError` for what the operating system or the memory refuses. Errors of this
    package come through. `bz2` and h5py tell of damage by an `OSError`, which unlike
    one of the operating system has no ``errno``.
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
