"""``list``: the vectors that can be asked for by name."""

from __future__ import annotations

from pathlib import Path

import click

from pretrained_embed.cli import options
from pretrained_embed.cli.catalog_text import entries_table, entry_facts, here
from pretrained_embed.cli.output import answer, answer_json, tell
from pretrained_embed.sources import catalog as catalogs


@click.command("list")
@click.option("--language", metavar="CODE", help="Of this language, such as de.")
@click.option("--family", help="Of this family, such as glove or fasttext.")
@click.option("--dim", type=click.IntRange(min=1), help="Of this many dimensions.")
@options.catalog
@options.cache_dir
@options.as_json
def list_(
    language: str | None,
    family: str | None,
    dim: int | None,
    catalog: Path | None,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """List the vectors that can be asked for by name.

    HERE says which need no download: those of an installed package, and those in the
    cache. A name with {lang} stands for one set a language; --language shows them.

    \b
    Example:
      pretrained-embed list --language de --dim 300
    """
    known = catalogs.load(catalog)
    entries = known.entries(language=language, family=family, dim=dim)
    present = here(cache_dir)
    if as_json:
        answer_json([entry_facts(entry, present) for entry in entries])
    elif entries:
        answer(entries_table(entries, present))
    else:
        families = {entry.family for entry in known.values() if entry.family}
        near = options.suggestion(family, families) if family else ""
        tell(f"Nothing in the catalog fits{near or '.'}")
