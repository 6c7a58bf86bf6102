"""``build``: from a vocabulary file to a matrix file."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.build_options import (
    VocabFile,
    check_stdin,
    dask,
    dask_executor,
    limits_options,
    recipe_options,
    report,
    spreadsheet,
    vocab_options,
    work_options,
)
from pretrained_embed.cli.options import library_options
from pretrained_embed.cli.output import (
    Bar,
    answer_json,
    check_target,
    matrix_facts,
    remarks,
    rounding,
    shares,
    tell,
)


def _formats(output: Path) -> tuple[pe.formats.Format, ...]:
    """Return the formats to choose from; plug-ins only if none of ours fits."""
    if output.suffix.lower() in options.WRITABLE_SUFFIXES:
        return pe.formats.FORMATS
    return pe.formats.known_formats()


@click.command()
@vocab_options()
@options.sources
@recipe_options()
@click.option(
    "--onto",
    metavar="FILE",
    help="A saved matrix, whose tokens keep their rows as they are.",
)
@limits_options()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default="embedding.npz",
    show_default=True,
    metavar="FILE",
    help="The file to write; an existing one is replaced. The suffix names the "
    f"format: {' '.join(options.WRITABLE_SUFFIXES)}. "
    f"{' '.join(options.TARGET_SUFFIXES)} are written as rows are made, so the matrix "
    "may be larger than the memory.",
)
@click.option(
    "--shards",
    type=click.IntRange(min=1),
    metavar="N",
    help="Write N safetensors files with an index into the new folder that --output "
    "names.",
)
@work_options()
@dask
@report
@spreadsheet
@library_options("cache_dir", "offline", "catalog", "stores", "mmap")
@options.as_json
@options.quiet
def build(
    vocab: VocabFile,
    source: tuple[str, ...],
    recipe: pe.Recipe,
    onto: str | None,
    limits: pe.Limits,
    output: Path,
    shards: int | None,
    work: pe.Work,
    dask: str | None,
    report: Path | None,
    spreadsheet: bool,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the matrix whose row I is the vector of token I.

    Coverage and remarks on the source are printed to standard error; with --json
    everything is printed to standard output.

    \b
    Example:
      pretrained-embed build --vocab vocab.txt --match exact,lower
      pretrained-embed build --vocab vocab.json --source vectors.txt -o matrix.npz
      pretrained-embed build --vocab vocab.txt --source a.vec --source b.vec
    """
    check_stdin(vocab.given, source)
    read: Any = {"vocabulary": vocab.given, "sources": source}
    suffix = output.suffix.lower()
    written = {s: each for each in _formats(output) if each.sink for s in each.suffixes}
    if shards and suffix in written:
        raise click.UsageError(
            f"--shards goes into a new folder, and {str(output)!r} is a file: name a "
            "folder with --output"
        )
    check_target(output, "--output", None if shards else [*written], **read)
    streamed = shards is not None or suffix in options.TARGET_SUFFIXES
    if not shards:
        written[suffix].check_dtype(recipe.dtype)
    if report is not None:
        check_target(report, "--report", options.REPORT_SUFFIXES, **read)

    vocabulary = vocab.read(library)
    workers: list[Any] = []
    out = output if shards is None else pe.Shards(output, shards)
    with Bar(quiet=quiet) as bar, dask_executor(dask) as executor:
        matrix = pe.build_matrix(
            vocabulary,
            source,
            recipe=recipe,
            limits=limits,
            library=library,
            onto=onto,
            out=out if streamed else None,
            work=replace(work, executor=executor, report=workers.extend),
            progress=bar,
        )
    if not streamed:
        matrix.save(output)
    if report is not None:
        matrix.save_report(report, spreadsheet=spreadsheet)

    if not quiet:
        rows, dim = matrix.shape
        tell(str(matrix.coverage))
        for share in shares(matrix):
            tell(share)
        for remark in remarks(matrix.findings):
            tell(remark)
        for remark in rounding(matrix):
            tell(remark)
        tell(f"Wrote {output}: {rows:,} rows of {dim} dimensions.")
        tell(
            f"Next: pe.load_matrix({str(output)!r}) in Python, "
            f"'pretrained-embed page {shlex.quote(str(output))}' to look at it."
        )
    if as_json:
        did = [worker._asdict() for worker in workers]
        answer_json({"output": str(output), **matrix_facts(matrix), "workers": did})
