"""``list``, ``fetch``, ``index``: named vectors, downloads, and indexed copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.cache import file_facts, vouched
from pretrained_embed.cli.options import library_options
from pretrained_embed.cli.output import (
    Bar,
    answer,
    answer_json,
    facts,
    number,
    plural,
    remarks,
    size,
    tell,
)
from pretrained_embed.markup import columns

if TYPE_CHECKING:
    from pretrained_embed.library.catalog import Entry


@click.command("list")
@click.option("--language", metavar="CODE", help="Only this language, such as de.")
@click.option("--family", help="Only this family, such as glove or fasttext.")
@click.option(
    "--dim", type=click.IntRange(min=1), help="Only vectors of this many dimensions."
)
@library_options("cache_dir", "catalog")
@options.as_json
def list_(
    language: str | None,
    family: str | None,
    dim: int | None,
    library: pe.Library,
    as_json: bool,
) -> None:
    """List the vectors that can be asked for by name.

    HERE marks those that need no download: they are in an installed package or in the
    cache. A name with {lang} stands for one set for each language; --language shows
    them.

    \b
    Example:
      pretrained-embed list --language de --dim 300
    """
    entries = library.list(language=language, family=family, dim=dim)
    present = here(library)
    if as_json:
        answer_json([entry_facts(entry, present) for entry in entries])
    elif entries:
        answer(entries_table(entries, present))
    else:
        families = {entry.family for entry in library.list() if entry.family}
        near = options.suggestion(family, families) if family else ""
        tell(f"Nothing in the catalog fits{near or '.'}")


@click.command()
@click.argument("name", **options.source)
@library_options("cache_dir", "offline", "catalog")
@options.as_json
@options.quiet
def fetch(
    name: str,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Download vectors into the cache; print their path.

    SOURCE is a name that 'list' shows, or a URL. Vectors in the cache or in an
    installed package are not downloaded. An interrupted download is resumed. With
    --offline: only check whether they are there.

    \b
    Example:
      pretrained-embed fetch glove-6b-300d
    """
    from pretrained_embed.library import packages
    from pretrained_embed.library.cache import Cached

    if (installed := packages.find(name)) is not None:
        if not quiet:
            tell(
                f"An installed package has {name} already, and comes before the cache: "
                "nothing has to be downloaded."
            )
        path = installed.path or Path(name)
        if as_json:
            answer_json(file_facts(Cached(path, name, installed.size or 0, None, None)))
        else:
            answer(str(path))
        return
    with Bar(quiet=quiet) as bar:
        path = library.fetch(name, progress=bar)
    file = next((one for one in library.cache.entries() if one.path == path), None)
    if file is None:  # nothing can be recorded in a read-only cache
        file = Cached(path, name, path.stat().st_size, None, None)
    elif not quiet:
        tell(f"{size(file.size)}, sha256 {file.sha256}, {vouched(file)}")
    if as_json:
        answer_json(file_facts(file))
    else:
        answer(str(path))


_DTYPES = ("float32", "float16", "bfloat16", "int8")


@click.command()
@click.argument("file", metavar="FILE|NAME", **options.source)
@click.option(
    "--dtype",
    **options.one_of(_DTYPES),
    default="float32",
    show_default=True,
    help="The dtype of the store. float16 and bfloat16 take half the space, int8 a "
    "quarter; all three round.",
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
    is used instead of the file until the file changes. Vectors with a name or a URL are
    indexed at their first use.

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


#: Id or URL of vectors that need no download, and why: "installed" or "cached".
Here = Mapping[str, str]


def here(library: pe.Library) -> Here:
    """Return the vectors on this machine; a package comes before the cache."""
    from pretrained_embed.library import packages

    cached = {
        file.source: "cached"
        for file in library.cache.entries()
        if file.sha256 is not None
    }
    return cached | dict.fromkeys(packages.names(), "installed")


def entries_table(entries: Iterable[Entry], here: Here) -> str:
    """Return a table of entries, a line for each."""
    return columns(
        ("NAME", "DIM", "ROWS", "DOWNLOAD", "LANGUAGE", "LICENCE", "HERE"),
        [
            (
                entry.id,
                number(entry.dim),
                number(entry.rows),
                size(entry.size),
                _languages(entry),
                entry.licence or "?",
                _mark(entry, here),
            )
            for entry in entries
        ],
        right=(1, 2, 3),
    )


def entry_text(entry: Entry, here: Here) -> str:
    """Return the facts about one entry, a line each."""
    return facts(
        [
            ("name", entry.id),
            ("title", entry.title),
            ("here", _mark(entry, here) or "no"),
            ("family", entry.family),
            ("language", _languages(entry)),
            ("letter case", entry.case),
            ("dim", number(entry.dim)),
            ("rows", number(entry.rows)),
            ("format", entry.format),
            ("member", entry.member),
            ("download", size(entry.size)),
            ("unpacked", size(entry.member_size)),
            *(("url", url) for url in entry.urls),
            *(
                (c.algorithm, f"{c.value} of the {c.of}, says {c.vouched or '?'}")
                for c in entry.checksums
            ),
            ("corpus", entry.corpus),
            ("licence", entry.licence or "?"),
            ("licence text", entry.licence_url),
            ("citation", entry.citation),
        ]
    )


def entry_facts(entry: Entry, here: Here) -> dict[str, Any]:
    """Return the facts about one entry as JSON-compatible values."""
    return asdict(entry) | {"here": here.get(entry.id)}


def _languages(entry: Entry) -> str:
    if len(entry.languages) > 3:
        return plural(len(entry.languages), "language")
    return ", ".join(entry.languages) or "?"


def _mark(entry: Entry, here: Here) -> str:
    if not entry.is_template:
        return here.get(entry.id, "")
    ids = [entry.for_language(code).id for code in entry.languages]
    count = sum(id in here for id in ids)
    return f"{count} cached" if count else ""
