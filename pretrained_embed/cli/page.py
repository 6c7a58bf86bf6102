"""``page``: a page about a saved matrix, for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.output import check_target, tell
from pretrained_embed.cli.progress import Bar


@click.command()
@click.argument("matrix", metavar="MATRIX")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("page.html"),
    show_default=True,
    metavar="FILE",
    help="Where the page goes.",
)
@library_options("mmap")
@options.projection
@options.projection_seed
@click.option(
    "--limit",
    metavar="N|all",
    default="20000",
    callback=lambda context, option, given: (
        None
        if given == "all"
        else click.IntRange(min=1).convert(given, option, context)
    ),
    show_default=True,
    help="The most tokens on the map; of more, the most frequent by the counts of the "
    "vocabulary, or where there are none the first.",
)
@click.option("--title", metavar="TEXT", help="[default: the source and the shape]")
@options.quiet
def page(
    matrix: str,
    output: Path,
    projection: Any,
    seed: int,
    limit: int | None,
    title: str | None,
    library: pe.Library,
    quiet: bool,
) -> None:
    """Write a page: coverage, and a map of the tokens.

    The page is one file that loads nothing; open it in a browser. It shows the map with
    the nearest neighbours of each token, what was found and what was not, norms,
    warnings, the first rows, and what the matrix was built from.

    \b
    Example:
      pretrained-embed page embedding.npz -o page.html
    """
    check_target(output, "--output", (".html", ".htm"), vocabulary="", sources=[matrix])
    with Bar(quiet=quiet) as bar:
        pe.page(
            matrix,
            output,
            projection=projection,
            seed=seed,
            limit=limit,
            title=title,
            library=library,
            progress=bar,
        )
    if not quiet:
        tell(f"Wrote {output}.")
