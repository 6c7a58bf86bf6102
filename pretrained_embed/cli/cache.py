"""``cache``: list, check and remove what was downloaded and indexed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.options import library_options
from pretrained_embed.cli.output import Bar, answer, answer_json, plural, size, tell
from pretrained_embed.errors import SourceError
from pretrained_embed.markup import columns

if TYPE_CHECKING:
    from pretrained_embed.library.cache import Cached


@click.group()
def cache() -> None:
    """Show, check and empty the cache.

    It holds downloads, and indexed copies of files that were read.

    \b
    Example:
      pretrained-embed cache list
    """


@cache.command()
@click.argument("source", required=False, metavar="[SOURCE]", **options.source)
@library_options("cache_dir", "catalog")
def path(source: str | None, library: pe.Library) -> None:
    """Print the cache folder, or the path in it for a file that you download by hand.

    The path need not exist yet. A file that you put there is verified at its first use.
    A source of two files, vectors and tokens, has two lines.

    \b
    Example:
      du -sh "$(pretrained-embed cache path)"
      pretrained-embed cache path glove-6b-300d
    """
    if source is None:
        answer(str(library.cache.folder))
        tell(total(library.cache.entries()))
        return
    for url, place in library.by_hand(source):
        answer(str(place))
        tell(f"for what {url} gives, as it is")


@cache.command("list")
@library_options("cache_dir")
@options.as_json
def list_(library: pe.Library, as_json: bool) -> None:
    """List what is in the cache.

    \b
    Example:
      pretrained-embed cache list --json
    """
    files = library.cache.entries()
    if as_json:
        answer_json([file_facts(file) for file in files])
        return
    if files:
        answer(files_table(files))
    tell(f"{total(files)} in {library.cache.folder}")


@cache.command()
@library_options("cache_dir")
@options.as_json
def verify(library: pe.Library, as_json: bool) -> None:
    """Read every file again and compare it with its recorded digest.

    Damaged files are an error (exit code 1). Unfinished downloads are left out.

    \b
    Example:
      pretrained-embed cache verify
    """
    with Bar() as bar:
        checked = list(library.cache.verify(progress=bar))
    damaged = [file for file, right in checked if not right]
    if as_json:
        answer_json([file_facts(file) | {"ok": right} for file, right in checked])
    else:
        for file, right in checked:
            answer(
                f"{'ok     ' if right else 'DAMAGED'}  {size(file.size)}  {file.path}"
            )
    if damaged:
        names = " ".join(sorted({file.source for file in damaged}))
        raise SourceError(
            f"{len(damaged)} of {plural(len(checked), 'file')} damaged; run "
            f"'pretrained-embed cache remove {names}' and fetch again"
        )
    tell(f"{total([file for file, _ in checked])}, all as recorded.")


def _kept() -> set[str]:
    from pretrained_embed.library.cache import Cache

    return {file.source for file in Cache().entries()}


@cache.command()
@click.argument(
    "names",
    metavar="NAME...",
    nargs=-1,
    required=True,
    **options.completing(_kept),
)
@library_options("cache_dir")
def remove(names: tuple[str, ...], library: pe.Library) -> None:
    """Remove the downloads of names or URLs, and their indexed copies.

    The names are those that 'cache list' shows. Files that were not made by the cache
    stay.

    \b
    Example:
      pretrained-embed cache remove glove-6b-300d
    """
    gone, freed = library.cache.remove(*names)
    tell(f"Removed {', '.join(gone)}: {size(freed)} freed.")


@cache.command()
@library_options("cache_dir")
def clear(library: pe.Library) -> None:
    """Remove all downloads and indexed copies, finished or not.

    Files that were not made by the cache stay; of a link only the link is removed.

    \b
    Example:
      pretrained-embed cache clear
    """
    freed = library.cache.clear()
    tell(f"Emptied {library.cache.folder}: {size(freed)} freed.")


def vouched(file: Cached) -> str:
    """Return how the content of a file is known to be right."""
    if file.is_store and file.sha256 is not None:
        return "indexed"
    if file.sha256 is None:
        return "unfinished"
    return "known from its first use" if file.published is None else "as published"


def files_table(files: Sequence[Cached]) -> str:
    """Return a table of files, a line for each."""
    return columns(
        ("NAME", "SIZE", "CONTENT", "FILE"),
        [
            (file.source, size(file.size), vouched(file), file.path.name)
            for file in files
        ],
        right=(1,),
    )


def total(files: Sequence[Cached]) -> str:
    """Return the number of files and their size, as text.

    >>> total([])
    '0 files, 0 B'
    """
    return f"{plural(len(files), 'file')}, {size(sum(file.size for file in files))}"


def file_facts(file: Cached) -> dict[str, Any]:
    """Return the facts about a file as JSON-compatible values."""
    return file._asdict() | {"path": str(file.path)}
