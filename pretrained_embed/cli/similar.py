"""``similar``: nearest neighbours in a matrix, a file or a store."""

from __future__ import annotations

from typing import Any, TextIO

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.output import answer, answer_json, tell
from pretrained_embed.cli.progress import Bar
from pretrained_embed.cli.recipe_options import limits_options
from pretrained_embed.cli.remarks import layout_notes


@click.command()
@click.argument("source", metavar="MATRIX|SOURCE", **options.source)
@click.argument("tokens", metavar="TOKEN...", nargs=-1)
@click.option(
    "--file",
    "-f",
    "lines",
    type=click.File(encoding="utf-8", errors="surrogateescape"),
    metavar="FILE",
    help="A file with a token or a sum a line; - is standard input.",
)
@click.option(
    "--count",
    "-n",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many neighbours.",
)
@click.option(
    "--metric",
    **options.one_of(["cosine", "dot", "euclidean"]),
    default="cosine",
    show_default=True,
    help="What is near: a large cosine, a large inner product, a small distance.",
)
@limits_options("bad_rows")
@options.layout
@library_options("cache_dir", "offline", "catalog", "mmap")
@options.as_json
@options.quiet
def similar(
    source: str,
    tokens: tuple[str, ...],
    lines: TextIO | None,
    count: int,
    metric: Any,
    limits: pe.Limits,
    layout: str | None,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """List the tokens nearest to a token, or to a sum.

    A sum is such as king - man + woman. The source is a saved matrix, a file of vectors
    or a name that 'list' shows. The number before a token is the cosine of the angle
    between the two, or what --metric asks for. A token that begins with - comes after
    --.

    \b
    Example:
      pretrained-embed similar embedding.npz cat dog
      pretrained-embed similar glove-6b-50d king - man + woman
      pretrained-embed similar vectors.bin --file queries.txt --json
    """
    queries = [*tokens, *(_queries(lines) if lines else ())]
    if not queries:
        raise click.UsageError("name a TOKEN, or a --file of them")
    with Bar(quiet=quiet) as bar:
        opened = pe.open_vectors(
            source,
            layout=layout,
            library=library,
            progress=bar,
        )
        with opened as reader:
            found = pe.similar(
                reader,
                queries,
                count=count,
                metric=metric,
                limits=limits,
                progress=bar,
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


def _queries(lines: TextIO) -> list[str | pe.Query]:
    """Return the queries of a file, one a line; empty lines are none."""
    given = [line for text in lines if (line := text.rstrip("\r\n")).strip()]
    # a sign that has a line to itself joins no others: it is a token
    return [pe.Query((line,)) if line in ("+", "-") else line for line in given]


def _paragraph(found: pe.Similar) -> str:
    lines = [f"{near.score:7.4f}  {near.token}" for near in found.nearest]
    return "\n".join([str(found.query), *lines])
