"""``build``: from a vocabulary file to a matrix file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.cli import options
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.match_options import (
    check_stdin,
    match_options,
    report,
    spreadsheet,
)
from pretrained_embed.cli.oov_options import oov_options
from pretrained_embed.cli.output import answer_json, check_target, tell
from pretrained_embed.cli.progress import Bar
from pretrained_embed.cli.remarks import matrix_facts, remarks, shares
from pretrained_embed.cli.scale_options import dask_executor, scale_options
from pretrained_embed.cli.source_options import source_options

_SUFFIXES = tuple(dict.fromkeys((*formats.WRITABLE_SUFFIXES, *formats.TARGET_SUFFIXES)))


@click.command()
@match_options
@source_options
@oov_options
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Of the numbers that normal and uniform draw.",
)
@click.option(
    "--pad-token",
    type=options.as_token,
    metavar="TOKEN",
    help="The token of the padding row, which is zeros.  [default: as the vocabulary "
    "says, or else <pad>]",
)
@click.option("--no-pad", is_flag=True, help="No padding row.")
@click.option(
    "--unk-token",
    type=options.as_token,
    metavar="TOKEN",
    help="The token that stands in for unknown ones.  [default: as the vocabulary "
    "says, or else none]",
)
@click.option(
    "--min-coverage",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="The least share of tokens to be found; fewer are an error.",
)
@click.option(
    "--min-token-coverage",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="The least share of the text that they make up, by the counts of the "
    "vocabulary.",
)
@options.layouts
@options.on_bad_row("Malformed rows of the source: stop, or leave them out and say so.")
@options.max_bad_rows
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="[default: the CPUs this process may use]",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default="embedding.npz",
    show_default=True,
    metavar="FILE",
    help="Where the matrix goes, replacing what is there. The suffix names the "
    f"format: {' '.join(_SUFFIXES)}. Into {' '.join(formats.TARGET_SUFFIXES)} rows go "
    "as they are made, so that the matrix may be larger than the memory.",
)
@scale_options
@report
@spreadsheet
@library_options("cache_dir", "offline", "catalog", "stores", "mmap")
@options.as_json
@options.quiet
def build(
    vocab: str,
    vocab_kind: Any,
    source: tuple[str, ...],
    combine: Any,
    align: str | None,
    scale: tuple[float, ...] | None,
    normalize_each: bool,
    post: str | None,
    onto: str | None,
    match: str,
    oov: str,
    unk_oov: str | None,
    special_oov: dict[str, str],
    seed: int,
    pad_token: str | None,
    no_pad: bool,
    unk_token: str | None,
    min_coverage: float,
    min_token_coverage: float,
    layout: Any,
    on_bad_row: Any,
    max_bad_rows: Any,
    threads: int | None,
    output: Path,
    memory: str | None,
    dask: str | None,
    shards: int | None,
    report: Path | None,
    spreadsheet: bool,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the matrix whose row I is the vector of token I.

    How much of the vocabulary was found, and what was remarkable about the source, is
    said on standard error; with --json, standard output has it all.

    \b
    Example:
      pretrained-embed build --vocab vocab.txt --match exact,lower
      pretrained-embed build --vocab vocab.json --source vectors.txt -o matrix.npz
      pretrained-embed build --vocab vocab.txt --source a.vec --source b.vec
    """
    if no_pad and pad_token is not None:
        raise click.UsageError("--pad-token and --no-pad exclude each other")
    check_stdin(vocab, source)
    read: Any = {"vocabulary": vocab, "sources": source}
    if shards and output.suffix.lower() in _SUFFIXES:
        raise click.UsageError(
            f"--shards goes into a new folder, and {str(output)!r} is a file: name a "
            "folder with --output"
        )
    check_target(output, "--output", None if shards else _SUFFIXES, **read)
    streamed = shards is not None or output.suffix.lower() in formats.TARGET_SUFFIXES
    if report is not None:
        check_target(report, "--report", pe.Coverage.REPORT_SUFFIXES, **read)

    special: dict[str, Any] = {}  # what is left out is as the vocabulary says
    if no_pad or pad_token is not None:
        special["pad"] = pad_token
    if unk_token is not None:
        special["unk"] = unk_token
    vocabulary = pe.Vocabulary.from_file(vocab, kind=vocab_kind, **special)
    if unk_oov is not None:
        special_oov["unk"] = unk_oov
    out: Any = output if streamed else None
    if shards:
        out = pe.Shards(output, shards)
    with Bar(quiet=quiet) as bar, dask_executor(dask) as executor:
        matrix = pe.build_matrix(
            vocabulary,
            source,
            recipe=pe.Recipe(
                match=match,
                oov=oov,
                special_oov=special_oov,
                seed=seed,
                combine=combine,
                align=align,
                scale=scale,
                normalize_each=normalize_each,
                postprocess=post or (),
                layout=layout,
            ),
            limits=pe.Limits(
                min_coverage,
                min_token_coverage,
                (1.0 if max_bad_rows is None else max_bad_rows)
                if on_bad_row == "skip"
                else 0,
            ),
            onto=onto,
            library=library,
            out=out,
            work=pe.Work(threads, executor, memory, advise=True),
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
        tell(f"Wrote {output}: {rows:,} rows of {dim} dimensions.")
    if as_json:
        answer_json({"output": str(output), **matrix_facts(matrix)})
