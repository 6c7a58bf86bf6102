"""Which of the two kernels is used and why; a warning for an unwanted slow one."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from pretrained_embed.errors import OptionError

ENVIRONMENT = "PRETRAINED_EMBED_KERNEL"

#: The requested kernel: "native", "reference", or "" for the native one if it exists.
ASKED = os.environ.get(ENVIRONMENT, "")
if ASKED not in ("", "native", "reference"):
    raise OptionError(f"{ENVIRONMENT} is {ASKED!r}; it can be 'native' or 'reference'")

#: Why the native kernel could not be imported, unless it was refused by name.
missing: ImportError | None = None

#: How many bytes the reference may read before the warning.
_SILENT = 8 << 20

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]

_read = 0


class SlowKernelWarning(RuntimeWarning):
    """The slow reference kernel reads much, although nobody selected it."""


def reason() -> str | None:
    """Return why the reference kernel is used; ``None`` for the native one."""
    if missing is None:
        return f"{ENVIRONMENT} asks for it" if ASKED == "reference" else None
    if _compiled(_HERE):
        return f"the native kernel does not load here ({missing})"
    if _is_checkout():
        return f"{_ROOT} is a checkout, and its native kernel is not built"
    return "no native kernel was built when the package was installed"


def remedy() -> str | None:
    """Return the command that installs the native kernel; ``None`` if not needed.

    Another installed copy is named but not used: only a build of this C source surely
    fits this package.
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
    """Warn once that the slow kernel is used unasked, before it has read much.

    ``size`` is how many bytes it reads next.
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
