"""``similar``: nearest neighbours in a matrix, a file or a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.output import answer, answer_json, tell
from pretrained_embed.cli.progress import Bar
from pretrained_embed.cli.report import layout_notes
from pretrained_embed.sources.url import url_or_words


@click.command()
@click.argument("source", metavar="MATRIX|SOURCE", type=url_or_words)
@click.argument("tokens", metavar="TOKEN...", nargs=-1, required=True)
@click.option(
    "--count",
    "-n",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many neighbours.",
)
@options.on_bad_row("Malformed rows of the source: stop, or leave them out.")
@options.layout
@options.where_from
@options.as_json
@options.quiet
def similar(
    source: str,
    tokens: tuple[str, ...],
    count: int,
    on_bad_row: Any,
    layout: str | None,
    cache_dir: Path | None,
    offline: bool | None,
    catalog: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """List the tokens nearest to each TOKEN, or to a sum such as king - man + woman.

    The source is a saved matrix, a file of vectors or a name that 'list' shows. The
    number before a token is the cosine of the angle between the two. A token that
    begins with - comes after --.

    \b
    Example:
      pretrained-embed similar embedding.npz cat dog
      pretrained-embed similar glove-6b-50d king - man + woman
    """
    with Bar(quiet=quiet) as bar:
        opened = pe.open_vectors(
            source,
            layout=layout,
            cache_dir=cache_dir,
            offline=offline,
            catalog=catalog,
            progress=bar,
        )
        with opened as reader:
            found = pe.similar(
                reader, tokens, count=count, on_bad_row=on_bad_row, progress=bar
            )
            findings = reader.findings
    if not quiet:
        for note in layout_notes(findings):
            tell(f"Note: {note}.")
    if as_json:
        codes = {"codes": findings.codes}  # of the source, beside each answer
        answer_json([each.to_dict() | codes for each in found])
    else:
        answer("\n\n".join(map(_paragraph, found)))


def _paragraph(found: pe.Neighbours) -> str:
    lines = [f"{near.cosine:7.4f}  {near.token}" for near in found.nearest]
    return "\n".join([str(found.query), *lines])
