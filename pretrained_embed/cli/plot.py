"""``plot``: a labelled picture of tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.output import tell

_SUFFIXES = pe.EmbeddingMatrix.PICTURE_SUFFIXES


@click.command()
@click.argument("matrix", metavar="MATRIX")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default="map.png",
    show_default=True,
    metavar="FILE",
    help=f"Where the picture goes: {' '.join(_SUFFIXES)}.",
)
@click.option(
    "--tokens",
    type=options.as_token,
    metavar="TOKEN,...",
    help="The tokens to draw.  [default: the most frequent]",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many of the most frequent tokens.",
)
@library_options("mmap")
@options.projection
@options.projection_seed
@click.option("--title", help="What stands above the picture.")
@options.quiet
def plot(
    matrix: str,
    output: Path,
    tokens: str | None,
    count: int,
    projection: Any,
    seed: int,
    title: str | None,
    library: pe.Library,
    quiet: bool,
) -> None:
    """Draw tokens as points, near each other where alike.

    Needs matplotlib.

    \b
    Example:
      pretrained-embed plot embedding.npz -o map.png
      pretrained-embed plot embedding.npz --tokens king,queen,man,woman -o map.svg
    """
    if output.suffix.lower() not in _SUFFIXES:
        raise click.BadParameter(
            f"{str(output)!r} does not end in one of {' '.join(_SUFFIXES)}",
            param_hint="'--output'",
        )
    loaded = pe.load_matrix(matrix, library=library)
    pe.save_picture(
        loaded.plot(
            None if tokens is None else tokens.split(","),
            count=count,
            projection=projection,
            seed=seed,
            title=title,
        ),
        output,
    )
    if not quiet:
        tell(f"Wrote {output}.")
