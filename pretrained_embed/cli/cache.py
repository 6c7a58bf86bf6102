"""``cache``: what was downloaded, and how to be rid of it."""

from __future__ import annotations

from pathlib import Path

import click

from pretrained_embed.cli import options
from pretrained_embed.cli.cache_text import file_facts, files_table, total
from pretrained_embed.cli.output import answer, answer_json, plural, size, tell
from pretrained_embed.cli.progress import Bar
from pretrained_embed.errors import SourceError, UnknownSourceError
from pretrained_embed.sources import cache as caches
from pretrained_embed.sources import cache_folder, fetching
from pretrained_embed.sources import catalog as catalogs
from pretrained_embed.sources.entry import entry_of_url
from pretrained_embed.sources.url import public, url_or_words


@click.group()
def cache() -> None:
    """Show, check and empty the cache of downloads and indexed copies.

    \b
    Example:
      pretrained-embed cache list
    """


@cache.command()
@click.argument("source", required=False, metavar="[SOURCE]", type=url_or_words)
@options.catalog
@options.cache_dir
def path(source: str | None, catalog: Path | None, cache_dir: Path | None) -> None:
    """Print the cache folder; or where to put the file of a name or a URL by hand.

    Nothing of it need exist yet. What is put there is verified when it is first used.
    A source of two files, vectors and tokens, has two lines.

    \b
    Example:
      du -sh "$(pretrained-embed cache path)"
      pretrained-embed cache path glove-6b-300d
    """
    if source is None:
        answer(str(cache_folder.locate(cache_dir)))
        tell(total(caches.listing(cache_dir)))
        return
    known = catalogs.load(catalog)
    entry = entry_of_url(source) if "://" in source else known.find(source)
    for url, place in fetching.by_hand(entry, cache_dir=cache_dir):
        answer(str(place))
        tell(f"for what {url} gives, as it is")


@cache.command("list")
@options.cache_dir
@options.as_json
def list_(cache_dir: Path | None, as_json: bool) -> None:
    """List what is in the cache.

    \b
    Example:
      pretrained-embed cache list --json
    """
    files = caches.listing(cache_dir)
    if as_json:
        answer_json([file_facts(file) for file in files])
        return
    if files:
        answer(files_table(files))
    tell(f"{total(files)} in {cache_folder.locate(cache_dir)}")


@cache.command()
@options.cache_dir
@options.as_json
def verify(cache_dir: Path | None, as_json: bool) -> None:
    """Read every file again and compare it with its recorded digest.

    Damaged files are an error (exit code 1). Unfinished downloads are left out.

    \b
    Example:
      pretrained-embed cache verify
    """
    with Bar() as bar:
        checked = list(caches.verify(cache_dir, progress=bar))
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


@cache.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@options.cache_dir
def remove(names: tuple[str, ...], cache_dir: Path | None) -> None:
    """Remove what was fetched by these names or URLs, and their indexed copies.

    Names that 'cache list' shows. What the cache has not named itself stays.

    \b
    Example:
      pretrained-embed cache remove glove-6b-300d
    """
    files = caches.listing(cache_dir)
    known = {file.source for file in files}
    names = tuple(map(public, names))
    for name in names:
        if name not in known:
            raise UnknownSourceError(
                f"{name!r} is not in the cache{options.suggestion(name, known)}"
            )
    folders = {file.path.parent for file in files if file.source in names}
    freed = sum(map(caches.remove, sorted(folders)))
    gone = {file.source for file in files if file.path.parent in folders}
    tell(f"Removed {', '.join(sorted(gone))}: {size(freed)} freed.")


@cache.command()
@options.cache_dir
def clear(cache_dir: Path | None) -> None:
    """Remove all downloads and indexed copies, finished or not.

    What the cache has not named itself stays; of a link the link is removed.

    \b
    Example:
      pretrained-embed cache clear
    """
    freed = caches.clear(cache_dir)
    tell(f"Emptied {cache_folder.locate(cache_dir)}: {size(freed)} freed.")
