"""``fetch``: bring vectors into the cache."""

from __future__ import annotations

from pathlib import Path

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.cache import file_facts, vouched
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.output import answer, answer_json, size, tell
from pretrained_embed.cli.progress import Bar
from pretrained_embed.library import packages
from pretrained_embed.library.cache import Cached


@click.command()
@click.argument("name", **options.source)
@library_options("cache_dir", "offline", "catalog")
@options.as_json
@options.quiet
def fetch(
    name: str,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Download vectors into the cache; print their path.

    SOURCE is a name that 'list' shows, or a URL. What is there already is not
    downloaded again. A download that was interrupted goes on where it stopped, and what
    an installed package has is not downloaded at all. With --offline: tell whether it
    is there.

    \b
    Example:
      pretrained-embed fetch glove-6b-300d
    """
    if (installed := packages.find(name)) is not None:
        if not quiet:
            tell(
                f"An installed package has {name} already, and comes before the cache: "
                "nothing has to be downloaded."
            )
        path = installed.path or Path(name)
        if as_json:
            answer_json(file_facts(Cached(path, name, installed.size or 0, None, None)))
        else:
            answer(str(path))
        return
    with Bar(quiet=quiet) as bar:
        path = library.fetch(name, progress=bar)
    file = next((one for one in library.cache.entries() if one.path == path), None)
    if file is None:  # nothing can be recorded in a cache that may only be read
        file = Cached(path, name, path.stat().st_size, None, None)
    elif not quiet:
        tell(f"{size(file.size)}, sha256 {file.sha256}, {vouched(file)}")
    if as_json:
        answer_json(file_facts(file))
    else:
        answer(str(path))
