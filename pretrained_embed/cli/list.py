"""``list``: the vectors that can be asked for by name."""

from __future__ import annotations

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.catalog_text import entries_table, entry_facts, here
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.output import answer, answer_json, tell


@click.command("list")
@click.option("--language", metavar="CODE", help="Of this language, such as de.")
@click.option("--family", help="Of this family, such as glove or fasttext.")
@click.option("--dim", type=click.IntRange(min=1), help="Of this many dimensions.")
@library_options("cache_dir", "catalog")
@options.as_json
def list_(
    language: str | None,
    family: str | None,
    dim: int | None,
    library: pe.Library,
    as_json: bool,
) -> None:
    """List the vectors that can be asked for by name.

    HERE says which need no download: those of an installed package, and those in the
    cache. A name with {lang} stands for one set a language; --language shows them.

    \b
    Example:
      pretrained-embed list --language de --dim 300
    """
    entries = library.list(language=language, family=family, dim=dim)
    present = here(library)
    if as_json:
        answer_json([entry_facts(entry, present) for entry in entries])
    elif entries:
        answer(entries_table(entries, present))
    else:
        families = {entry.family for entry in library.list() if entry.family}
        near = options.suggestion(family, families) if family else ""
        tell(f"Nothing in the catalog fits{near or '.'}")
