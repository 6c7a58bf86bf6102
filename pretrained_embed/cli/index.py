"""``index``: make the store of a source, from which matrices are built at once."""

from __future__ import annotations

from typing import Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.output import answer, answer_json, number, size, tell
from pretrained_embed.cli.progress import Bar
from pretrained_embed.cli.remarks import remarks

_DTYPES = ("float32", "float16", "bfloat16", "int8")


@click.command()
@click.argument("file", metavar="FILE|NAME", **options.source)
@click.option(
    "--dtype",
    **options.one_of(_DTYPES),
    default="float32",
    show_default=True,
    help="What the vectors are kept as. float16 and bfloat16 take half the room, int8 "
    "a quarter; all of them round.",
)
@options.layout
@library_options("cache_dir", "offline", "catalog")
@options.as_json
@options.quiet
def index(
    file: str,
    dtype: Any,
    layout: str | None,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Index a file; building from it then takes milliseconds.

    The index, with a copy of the vectors, goes into the cache; its path is printed. It
    is used in place of the file as long as that is not changed. What has a name or a
    URL is indexed when it is first used.

    \b
    Example:
      pretrained-embed index vectors.txt
    """
    with Bar(quiet=quiet) as bar:
        path = pe.index(
            file,
            dtype=dtype,
            layout=layout,
            library=library,
            progress=bar,
        )
    with library.open(file, layout=layout) as reader:
        rows, dim, findings = reader.count, reader.dim, reader.findings
    room = path.stat().st_size
    if not quiet:
        tell(f"{number(rows)} rows of {dim} dimensions, {dtype}: {size(room)}")
        for remark in remarks(findings):
            tell(remark)
    if as_json:
        answer_json(
            {
                "path": str(path),
                "source": file,
                "rows": rows,
                "dim": dim,
                "dtype": dtype,
                "size": room,
                "findings": findings.to_dict(),
            }
        )
    else:
        answer(str(path))
