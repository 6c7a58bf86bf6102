"""Places that files are to go to, refused before any work is done for them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import click


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
