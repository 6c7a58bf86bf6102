"""``align``: the vectors of one space turned into another."""

from __future__ import annotations

from pathlib import Path

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.options import library_options
from pretrained_embed.cli.output import answer_json, layout_notes, tell
from pretrained_embed.sources.url import shown


@click.command()
@click.argument("source", metavar="MATRIX|SOURCE", **options.source)
@click.argument("target", metavar="TARGET", **options.source)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The file to write; its suffix names the format.",
)
@click.option(
    "--pairs",
    default="shared",
    show_default=True,
    metavar="shared|FILE",
    help="Tokens that mean the same: those that both sides have, or a file with two "
    "words on each line.",
)
@click.option(
    "--unit/--no-unit",
    default=True,
    show_default=True,
    help="Fit to vectors of length 1.",
)
@click.option("--center", is_flag=True, help="Subtract the mean of each side first.")
@click.option(
    "--refine",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many times to fit again, to words that are each other's nearest "
    "neighbour by CSLS.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    default=10_000,
    show_default=True,
    help="How many of the first rows of each side --refine uses.",
)
@click.option(
    "--holdout",
    type=float,
    default=0.1,
    show_default=True,
    help="The share of the pairs that is held out for the score.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed for that share."
)
@library_options("mmap")
@options.as_json
@options.quiet
def align(
    source: str,
    target: str,
    output: Path,
    pairs: str,
    unit: bool,
    center: bool,
    refine: int,
    limit: int,
    holdout: float,
    seed: int,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn vectors into the space of others.

    The map is fitted to tokens that mean the same in both, such as vectors of two
    languages, or of two years of one language. It is orthogonal: no angle between the
    turned vectors changes. Both need the same dim.

    \b
    Example:
      pretrained-embed align news-1990.npz news-2020.npz -o turned.npz
      pretrained-embed align de.vec en.vec --pairs de-en.txt --refine 5 -o de-in-en.vec
    """
    sides = {
        name: pe.load_matrix(pe.open_vectors(name, library=library))
        for name in (source, target)
    }
    found = pe.align(
        sides[source],
        sides[target],
        pairs,
        unit=unit,
        center=center,
        refine=refine,
        limit=limit,
        holdout=holdout,
        seed=seed,
    )
    found.matrix.save(output)
    if as_json:
        score = None if found.score is None else found.score._asdict()
        facts = {shown(name): matrix.findings.facts for name, matrix in sides.items()}
        told = {"pairs": found.pairs, "score": score, "output": str(output)}
        answer_json(told | {"findings": facts})
    if not quiet:
        for name, matrix in sides.items():
            for note in layout_notes(matrix.findings):
                tell(f"{shown(name)}: Note: {note}.")
        tell(str(found))
        rows, dim = found.matrix.shape
        tell(f"Wrote {output}: {rows:,} rows of {dim} dimensions.")
