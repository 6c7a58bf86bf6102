"""Which of the two kernels runs and why; a word where that is the slow one unasked."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from pretrained_embed.errors import OptionError

ENVIRONMENT = "PRETRAINED_EMBED_KERNEL"

#: What was asked for: "native", "reference", or "" for the native one if it is there.
ASKED = os.environ.get(ENVIRONMENT, "")
if ASKED not in ("", "native", "reference"):
    raise OptionError(f"{ENVIRONMENT} is {ASKED!r}; it can be 'native' or 'reference'")

#: Why the native kernel could not be imported, where it was not refused by name.
missing: ImportError | None = None

#: Bytes that may be read by the reference before a word is said.
_SILENT = 8 << 20

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]

_read = 0


class SlowKernelWarning(RuntimeWarning):
    """The slow reference kernel reads much, although nobody asked for it."""


def reason() -> str | None:
    """Return why the reference kernel runs; ``None`` where the native one does."""
    if missing is None:
        return f"{ENVIRONMENT} asks for it" if ASKED == "reference" else None
    if _compiled(_HERE):
        return f"the native kernel does not load here ({missing})"
    if _is_checkout():
        return f"{_ROOT} is a checkout, and its native kernel is not built"
    return "no native kernel was built when the package was installed"


def remedy() -> str | None:
    """Return the command that brings the native kernel; ``None`` where none is needed.

    Another installed copy is named and not used: only a build of this very C source
    is sure to do what this package means.
    """
    if missing is None:
        return None
    python = sys.executable or "python"
    if not _is_checkout():
        return (
            "install a C compiler, then run: "
            f"{python} -m pip install --force-reinstall --no-deps pretrained-embed"
        )
    command = f"run: {python} -m pip install -e {_ROOT}"
    other = next((folder for folder in map(Path, sys.path) if _has_copy(folder)), None)
    if other is None:
        return command
    return f"{command}, or start Python in another folder: the copy in {other} has one"


def about_to_read(size: int) -> None:
    """Say once that the slow kernel runs unasked, before it has read much.

    ``size`` is how many bytes it is given next.
    """
    global _read
    if missing is None or _read > _SILENT:
        return
    _read += size
    if _read > _SILENT:
        warnings.warn(
            f"vectors are read without the native kernel, many times as slowly: "
            f"{reason()}; {remedy()}",
            SlowKernelWarning,
            stacklevel=2,
        )


def _compiled(folder: Path) -> bool:
    return any(
        path.suffix in (".so", ".pyd", ".dylib") for path in folder.glob("_kernel.*")
    )


def _has_copy(folder: Path) -> bool:
    kernel = folder / "pretrained_embed" / "kernel"
    return kernel.resolve() != _HERE.resolve() and _compiled(kernel)


def _is_checkout() -> bool:
    return (_ROOT / "pyproject.toml").is_file()
