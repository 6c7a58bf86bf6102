"""Commands that look at a matrix: its rows, neighbours, pages, pictures and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TextIO

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.build_options import limits_options
from pretrained_embed.cli.options import library_options
from pretrained_embed.cli.output import (
    Bar,
    answer,
    answer_json,
    check_target,
    layout_notes,
    tell,
)


@click.command()
@click.argument("matrix", metavar="MATRIX")
@click.argument(
    "tokens", metavar="TOKEN...", type=options.as_token, nargs=-1, required=True
)
@library_options("mmap")
@options.as_json
def explain(
    matrix: str, tokens: tuple[str, ...], library: pe.Library, as_json: bool
) -> None:
    """Explain how the rows of tokens were filled.

    For each token: found or not, in which form, in which row of which source. Write --
    before tokens that begin with -.

    \b
    Example:
      pretrained-embed explain embedding.npz Paris snowmageddon
    """
    loaded = pe.load_matrix(matrix, library=library)
    stories = [loaded.explain(token) for token in tokens]
    if as_json:
        answer_json([story.to_dict() for story in stories])
    else:
        answer("\n".join(map(str, stories)))


@click.command()
@click.argument("source", metavar="MATRIX|SOURCE", **options.source)
@click.argument("tokens", metavar="TOKEN...", nargs=-1)
@click.option(
    "--file",
    "-f",
    "lines",
    type=click.File(encoding="utf-8-sig", errors="surrogateescape"),
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

    An example of a sum is king - man + woman. The source is a saved matrix, a file of
    vectors or a name that 'list' shows. The number before a token is its cosine
    similarity, or the value of --metric. Write -- before a token that begins with -.

    \b
    Example:
      pretrained-embed similar embedding.npz cat dog
      pretrained-embed similar glove-6b-50d king - man + woman
      pretrained-embed similar vectors.bin --file queries.txt --json
    """
    queries = [*tokens, *(_queries(lines) if lines else ())]
    if not queries:
        name = f"{lines.name} has no line with a token; " if lines else ""
        raise click.UsageError(f"{name}name a TOKEN, or a --file of them")
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
        codes = {"codes": findings.codes}  # of the source, printed with each answer
        answer_json([each.to_dict() | codes for each in found])
    else:
        answer("\n\n".join(map(_paragraph, found)))


def _queries(lines: TextIO) -> list[str | pe.Query]:
    """Return the queries of a file, one a line, without empty lines."""
    given = [line for text in lines if (line := text.strip(" \t\r\n"))]
    # a sign alone on a line is a token, not an operator
    return [pe.Query((line,)) if line in ("+", "-") else line for line in given]


def _paragraph(found: pe.Similar) -> str:
    lines = [f"{near.score:7.4f}  {near.token}" for near in found.nearest]
    return "\n".join([str(found.query), *lines])


@click.command()
@click.argument("matrix", metavar="MATRIX")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("page.html"),
    show_default=True,
    metavar="FILE",
    help="The page to write.",
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

    The page is one file for a browser, which loads nothing else. It shows the map with
    the nearest neighbours of each token, the coverage, norms, warnings, the first rows,
    and what the matrix was built from.

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


@click.command()
@click.argument("matrix", metavar="MATRIX")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default="map.png",
    show_default=True,
    metavar="FILE",
    help=f"The picture to write: {' '.join(options.PICTURE_SUFFIXES)}.",
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
@click.option("--title", help="The title of the picture.")
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
    """Draw tokens as points; similar tokens are near each other.

    Needs matplotlib.

    \b
    Example:
      pretrained-embed plot embedding.npz -o map.png
      pretrained-embed plot embedding.npz --tokens king,queen,man,woman -o map.svg
    """
    if output.suffix.lower() not in options.PICTURE_SUFFIXES:
        suffixes = " ".join(options.PICTURE_SUFFIXES)
        raise click.BadParameter(
            f"{str(output)!r} does not end in one of {suffixes}",
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


@click.command()
@click.argument("before", metavar="BEFORE", **options.source)
@click.argument("after", metavar="AFTER", **options.source)
@click.option(
    "--count",
    "-n",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many of the tokens that moved most to show.",
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
    help="How many of the most frequent tokens to compare.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"A page or a picture: .html {' '.join(options.PICTURE_SUFFIXES)}.",
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
    """Show the changes between two matrices.

    For example by training: cosines, norms, neighbours gained and lost, all by
    frequency, and the tokens that moved most.

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


@click.command()
@click.argument(
    "sources", metavar="MATRIX|SOURCE...", **options.source, nargs=-1, required=True
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A task of your own, once for each: two words and a number a line; four "
    "words; a word and its category; or a folder of sets with an odd one out.  "
    "[default: those there are]",
)
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="How many samples of the items an interval is made of; 0: no intervals.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed for the intervals."
)
@options.layout
@library_options("cache_dir", "offline", "catalog", "mmap")
@options.as_json
@options.quiet
def evaluate(
    sources: tuple[str, ...],
    tasks: tuple[Path, ...],
    samples: int,
    seed: int,
    layout: str | None,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score vectors on similarity, analogies and categories.

    Of a saved matrix (.npz, .npy, .h5 or .safetensors) the found tokens are scored. Of
    other vectors, as for 'build --source', only the words of the tasks are read, in
    lower case if the source does not have them unchanged. Several sources are compared
    on the items that all of them have. Each score has a 95 % interval and the share of
    the task that it covers.

    \b
    Example:
      pretrained-embed evaluate embedding.npz
      pretrained-embed evaluate glove-6b-50d vectors.bin --task pairs.tsv --json
    """
    with Bar(quiet=quiet) as bar:
        readers = [
            pe.open_vectors(
                source,
                layout=layout,
                library=library,
                progress=bar,
            )
            for source in sources
        ]
        result = pe.evaluate(
            readers, tasks or None, samples=samples, seed=seed, progress=bar
        )
        findings = {reader.name: reader.findings for reader in readers}
        for reader in readers:
            reader.close()
    if not quiet:
        for note in result.left_out:
            tell(f"Note: left out: {note}.")
        for name, found in findings.items():
            for note in layout_notes(found):
                tell(f"{name}: Note: {note}.")
    if as_json:
        facts = {name: found.facts for name, found in findings.items()}
        answer_json(result.to_dict() | {"findings": facts})
    else:
        answer(str(result))
