"""``compare``: what changed from one matrix to another."""

from __future__ import annotations

from pathlib import Path

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.output import answer, answer_json, tell


@click.command()
@click.argument("before", metavar="BEFORE", **options.source)
@click.argument("after", metavar="AFTER", **options.source)
@click.option(
    "--count",
    "-n",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many of the tokens that moved most.",
)
@click.option(
    "--neighbours",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many nearest neighbours to compare.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="Of how many of the most frequent tokens.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"A page or a picture: .html {' '.join(pe.EmbeddingMatrix.PICTURE_SUFFIXES)}.",
)
@options.as_json
@options.quiet
def compare(
    before: str,
    after: str,
    count: int,
    neighbours: int,
    limit: int,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what changed between two matrices.

    Such as by training: cosines, norms, neighbours gained and lost, all by frequency,
    and the tokens that moved most.

    \b
    Example:
      pretrained-embed compare embedding.npz trained.npz
      pretrained-embed compare embedding.npz trained.npz -o changed.html
    """
    drift = pe.compare(before, after, count=count, neighbours=neighbours, limit=limit)
    if output is not None:
        drift.save(output)
    if as_json:
        answer_json(drift.to_dict())
    else:
        answer(str(drift))
    if output is not None and not quiet:
        tell(f"Wrote {output}.")
