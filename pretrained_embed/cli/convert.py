"""``convert``: vectors in one format to a file in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.build_options import check_stdin, limits_options, vocab_kind
from pretrained_embed.cli.options import library_options
from pretrained_embed.cli.output import Bar, answer_json, plural, remarks, tell

_SHOWN = 5  # how many missing tokens are named


def _all_formats() -> Sequence[str]:
    """Return the writable formats, with those of plug-ins."""
    from importlib.metadata import entry_points

    if not entry_points(group=options.PLUGINS):
        return options.WRITABLE_FORMATS
    return pe.formats.writable_formats()


@click.command()
@click.argument("source", metavar="IN", **options.source)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "format",
    **options.one_of(options.WRITABLE_FORMATS, _all_formats),
    help="The new format. Default: as the suffix of OUT says, "
    f"{' '.join(options.WRITABLE_SUFFIXES)}.",
)
@click.option(
    "--vocab",
    metavar="FILE",
    help="Keep the rows of these tokens only: one token a line, or what --vocab-kind "
    "names. - is standard input.",
)
@vocab_kind
@click.option(
    "--dtype",
    **options.one_of([*options.CHOICES["dtype"], "float64"]),
    default="float32",
    show_default=True,
    help="The dtype of the new file, where its format can hold it. All but float32 "
    "and float64 round them; int8, int4 and binary have a scale a row.",
)
@click.option(
    "--drop-duplicates",
    is_flag=True,
    help="Keep the first row of each token only. Default: all rows are kept.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Write the first N rows.",
)
@limits_options("bad_rows")
@options.layout
@library_options("cache_dir", "offline", "catalog", "mmap")
@options.as_json
@options.quiet
def convert(
    source: str,
    out: Path,
    format: str | None,
    vocab: str | None,
    vocab_kind: Any,
    dtype: Any,
    drop_duplicates: bool,
    limit: int | None,
    limits: pe.Limits,
    layout: str | None,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write vectors in another format.

    IN is a name that 'list' shows, a URL, a path, archive.zip#member, a folder of parts
    or a pattern of their names, or - for standard input. All rows are written, in their
    order. If OUT cannot hold them exactly, that is an error and nothing is written.

    \b
    Example:
      pretrained-embed convert vectors.txt vectors.npz
      pretrained-embed convert vectors.bin vectors.txt --to glove --vocab vocab.txt
    """
    vocabulary = None
    if vocab is not None:
        check_stdin(vocab, [source])
        if out.exists() and Path(vocab).exists() and out.samefile(vocab):
            raise click.BadParameter(
                f"{str(out)!r} would take the place of the vocabulary",
                param_hint="'OUT'",
            )
        vocabulary = pe.Vocabulary.from_file(vocab, kind=vocab_kind, pad=None)
    with Bar(quiet=quiet) as bar:
        done = pe.convert(
            source,
            out,
            format=format,
            vocab=vocabulary,
            dtype=dtype,
            drop_duplicates=drop_duplicates,
            limit=limit,
            limits=limits,
            layout=layout,
            library=library,
            progress=bar,
        )
    if not quiet:
        for line in _remarks(done):
            tell(line)
        rows = plural(done.rows, "row")
        tell(f"Wrote {out} ({done.format}): {rows} of {done.dim} dimensions.")
    if as_json:
        answer_json(_facts(done))


def _remarks(done: pe.Conversion) -> Iterator[str]:
    """Yield the remarks, a line each."""
    yield from remarks(done.findings)
    for note in done.notes:
        yield f"Note: {note}."
    if done.duplicates:
        rows = plural(done.duplicates, "row repeats", "rows repeat")
        fate = (
            "left out" if done.dropped else "kept (--drop-duplicates leaves such out)"
        )
        yield f"Note: {rows} an earlier token; {fate}."
    if done.missing:
        tokens = plural(len(done.missing), "token is", "tokens are")
        shown = ", ".join(map(repr, done.missing[:_SHOWN]))
        more = ", ..." if len(done.missing) > _SHOWN else ""
        yield f"Note: {tokens} not in {done.source}: {shown}{more}."


def _facts(done: pe.Conversion) -> dict[str, Any]:
    """Return the facts about a conversion as JSON-compatible values."""
    return {
        "output": str(done.path),
        "format": done.format,
        "source": done.source,
        "source_format": done.source_format,
        "rows": done.rows,
        "dim": done.dim,
        "dtype": done.dtype,
        "duplicates": done.duplicates,
        "duplicates_dropped": done.dropped,
        "missing": done.missing,
        "findings": done.findings.facts,
        "notes": done.notes,
    }
