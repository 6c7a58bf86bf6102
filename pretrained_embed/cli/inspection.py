"""``info`` and ``examine``: what a file of vectors holds, and what is wrong with it."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.catalog import entry_facts, entry_text, here
from pretrained_embed.cli.options import library_options
from pretrained_embed.cli.output import (
    Bar,
    answer,
    answer_json,
    facts,
    layout_notes,
    matrix_facts,
    number,
    plural,
    remarks,
    size,
    source_name,
)
from pretrained_embed.errors import brief
from pretrained_embed.markup import columns

_NORMS = "{min:.4g} to {max:.4g}, mean {mean:.4g}"

#: The formats that hold all of a matrix.
_WHOLE = ("npz", "hdf5", "safetensors")

#: How many tokens of a file on another machine are shown.
_FIRST = 5


@click.command()
@click.argument("source", required=False, metavar="[FILE|NAME|URL]", **options.source)
@options.layout
@click.option(
    "--formats",
    "all_formats",
    is_flag=True,
    help="List all formats, those of installed plug-ins too.",
)
@library_options("cache_dir", "offline", "catalog", "mmap")
@options.as_json
def info(
    source: str | None,
    layout: str | None,
    all_formats: bool,
    library: pe.Library,
    as_json: bool,
) -> None:
    """Show the contents of a file, a saved matrix or a name.

    A file is read completely, to count its rows and to list malformed ones; of a URL
    that is not in the cache only the beginning is read. For a file with the name of a
    catalog entry write ./NAME. Without an argument: facts about this installation.
    Nothing is downloaded.

    \b
    Example:
      pretrained-embed info
      pretrained-embed info embedding.npz
      pretrained-embed info glove-6b-300d --json
      pretrained-embed info --formats
    """
    if all_formats:
        if source is not None:
            raise click.UsageError("--formats lists formats: it takes no source")
        known, text = _formats()
    elif source is None:
        known = environment_facts(library)
        text = environment_text(known)
    elif (entry := library.entry(source)) is not None:
        present = here(library)
        known, text = entry_facts(entry, present), entry_text(entry, present)
    elif "://" in source and not library.is_offline and not _cached(source, library):
        known, text = _remote(source, layout, library)
    else:
        known, text = _file(source, layout, replace(library, offline=True))
    if as_json:
        answer_json(known)
    else:
        answer(text)


def _formats() -> tuple[dict[str, Any], str]:
    """Return all formats, for JSON and as a table."""
    known: list[dict[str, Any]] = [
        {
            "name": each.name,
            "title": each.title,
            "read": bool(each.reader),
            "written": bool(each.sink),
            "suffixes": [*each.suffixes],
            "dtypes": [*each.dtypes] if each.sink else [],
            "plugin": each not in pe.formats.FORMATS,
        }
        for each in pe.formats.known_formats()
    ]
    table = columns(
        ("NAME", "READ", "WRITTEN", "SUFFIXES", "FROM"),
        [
            (
                each["name"],
                "yes" if each["read"] else "no",
                "yes" if each["written"] else "no",
                " ".join(each["suffixes"]),
                "a plug-in" if each["plugin"] else "",
            )
            for each in known
        ],
    )
    return {"formats": known}, table


def _cached(source: str, library: pe.Library) -> bool:
    return any(file.source == source for file in library.cache.entries())


def _remote(
    source: str, layout: str | None, library: pe.Library
) -> tuple[dict[str, Any], str]:
    """Return the facts in the beginning of a file on another machine."""
    secure = source.lower().startswith("https://")
    opened = library.opened(f"remote+{source}" if secure else source, layout=layout)
    with opened.reader as reader:
        block = next(reader.blocks(threads=1, on_bad_row="skip"), None)
        tokens = [] if block is None else list(block.tokens[:_FIRST])
        known = {
            "url": opened.provenance.get("name", reader.name),
            "size": opened.provenance.get("size"),
            "format": reader.format,
            "dim": reader.dim,
            "declared_rows": reader.count,
            "dtype": reader.dtype,
            "first_tokens": tokens,
        }
    text = facts(
        [
            ("url", known["url"]),
            ("size", size(known["size"])),
            ("format", reader.format),
            ("rows", "not counted: fetch it, or read all of it by 'examine'"),
            ("declared", "no count" if reader.count is None else number(reader.count)),
            ("dim", number(reader.dim)),
            ("stored as", reader.dtype),
            ("first tokens", ", ".join(map(repr, tokens)) or "none"),
        ]
    )
    return known, text


def _file(
    source: str, layout: str | None, library: pe.Library
) -> tuple[dict[str, Any], str]:
    """Return the facts about a file of vectors, for JSON and as text."""
    with Bar() as bar:
        found = pe.examine(
            source,
            layout=layout,
            digest=True,
            library=library,
            progress=bar,
        )
    known = {"file": source, **found.to_dict()}
    lines = [_facts(source, found), *remarks(found.findings)]
    if found.problems:
        names = ", ".join(problem.name for problem in found.problems)
        lines.append(f"See 'pretrained-embed examine' for: {names}.")
    if found.format in _WHOLE and Path(source).is_file():
        matrix = pe.load_matrix(source, library=library)
        if matrix.provenance.keys() - {"source"}:  # otherwise a plain table of vectors
            known["matrix"] = matrix_facts(matrix)
            lines += _matrix(matrix)
    return known, "\n".join(lines)


def _facts(source: str, found: pe.Examination) -> str:
    """Return the facts about a file, a line for each."""
    norms, origin = found.norms, found.source
    declared = "no count"
    if found.declared_rows is not None:
        lies = "" if found.declared_rows == found.rows else ", which is false"
        declared = f"{found.declared_rows:,}{lies}"
    members = origin.get("members")
    return facts(
        [
            ("file", source),
            ("size", size(origin["size"]) if "size" in origin else None),
            ("sha256", origin.get("sha256")),
            ("compression", origin.get("compression")),
            ("archive", origin.get("archive")),
            ("member", origin.get("member")),
            ("members", ", ".join(members) if members else None),
            ("format", found.format),
            ("rows", number(found.rows)),
            ("declared", declared),
            ("dim", number(found.dim)),
            ("stored as", found.dtype),
            ("norms", None if norms is None else _NORMS.format(**norms)),
            ("first tokens", ", ".join(map(repr, found.first_tokens)) or "none"),
            *((name, _words(value) or None) for name, value in found.facts.items()),
        ]
    )


def _matrix(matrix: pe.EmbeddingMatrix) -> list[str]:
    """Return lines about a saved matrix: its coverage, and what it was built from."""
    sources = matrix.source_facts
    built = facts(
        [
            (
                "pad token",
                _token(matrix.vocabulary.pad_token, matrix.vocabulary.pad_id),
            ),
            (
                "unk token",
                _token(matrix.vocabulary.unk_token, matrix.vocabulary.unk_id),
            ),
            ("built from", _each(map(source_name, sources))),
            ("licence", _each(source.get("licence") for source in sources)),
            ("citation", _each(source.get("citation") for source in sources)),
            *(
                (name, _words(value) or None)
                for name, value in _options(matrix).items()
            ),
        ]
    )
    return [built, str(matrix.coverage), *remarks(matrix.findings)]


def _options(matrix: pe.EmbeddingMatrix) -> dict[str, Any]:
    """Return the options of a build, which a file may hold in any form."""
    options = matrix.provenance.get("options")
    return options if isinstance(options, dict) else {}


def _each(values: Iterable[Any]) -> str | None:
    """Return the values of one source or several, each value once."""
    known = dict.fromkeys(str(value) for value in values if value is not None)
    return ", ".join(known) or None


def _token(token: str | None, id: int | None) -> str:
    return "none" if token is None else f"{brief(token)}, row {id}"


def _words(value: Any) -> str | None:
    if value == {}:
        return None
    if isinstance(value, list):
        return ",".join(map(str, value))
    return None if value is None else str(value)


#: The frameworks that have an adapter.
_FRAMEWORKS = ("torch", "keras", "jax", "flax", "equinox", "gensim")


def environment_facts(library: pe.Library) -> dict[str, Any]:
    """Return versions, kernel, cache, data packages and frameworks, for JSON."""
    from pretrained_embed import kernel
    from pretrained_embed.kernel import choice
    from pretrained_embed.library import packages

    return {
        **pe.versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "kernel": kernel.IMPLEMENTATION,
        "kernel_reason": choice.reason(),
        "kernel_remedy": choice.remedy(),
        "cache": str(library.cache.folder),
        "cache_bytes": sum(file.size for file in library.cache.entries()),
        "data_packages": packages.names(),
        "frameworks": _frameworks(),
    }


def environment_text(known: dict[str, Any]) -> str:
    """Return the same facts as text, a line each."""
    frameworks = [f"{name} {version}" for name, version in known["frameworks"].items()]
    return facts(
        [
            ("pretrained-embed", known["pretrained_embed"]),
            ("kernel", _kernel(known)),
            ("python", known["python"]),
            ("numpy", known["numpy"]),
            ("platform", known["platform"]),
            ("cache", f"{known['cache']} ({size(known['cache_bytes'])})"),
            ("data packages", ", ".join(known["data_packages"]) or "none"),
            ("frameworks", ", ".join(frameworks) or "none"),
        ]
    )


def _kernel(known: dict[str, Any]) -> str:
    why = [known[name] for name in ("kernel_reason", "kernel_remedy") if known[name]]
    return f"{known['kernel']} ({'; '.join(why)})" if why else str(known["kernel"])


def _frameworks() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _FRAMEWORKS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


UNHEALTHY = 1


@click.command()
@click.argument("source", metavar="FILE", **options.source)
@options.layout
@library_options("cache_dir", "offline", "catalog", "mmap")
@options.as_json
@options.quiet
@click.pass_context
def examine(
    context: click.Context,
    source: str,
    layout: str | None,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find the problems of a file of vectors.

    The whole file is read. Errors are malformed rows, a wrong header, a truncated file,
    duplicate tokens, tokens that are not UTF-8, and invalid numbers: the exit code is
    1. Warnings are unusual tokens and vectors of zeros. Each problem comes with a
    remedy.

    \b
    Example:
      pretrained-embed examine vectors.txt
      pretrained-embed examine vectors.zip#vectors.bin --json
    """
    with Bar(quiet=quiet) as bar:
        found = pe.examine(
            source,
            layout=layout,
            library=library,
            progress=bar,
        )
    if as_json:
        answer_json(found.to_dict())
    else:
        paragraphs = [*map(_paragraph, found.problems), *_notes(found)]
        answer("\n".join([_head(found), *paragraphs]))
    if not found.healthy:
        context.exit(UNHEALTHY)


def _head(found: pe.Examination) -> str:
    shape = f"{found.name}: {found.format}, {found.rows:,} rows of {found.dim}"
    if not found.problems:
        return f"{shape}. Nothing is wrong with it."
    errors = sum(problem.severity == "error" for problem in found.problems)
    warnings = len(found.problems) - errors
    counts = [plural(errors, "error")] * bool(errors)
    counts += [plural(warnings, "warning")] * bool(warnings)
    return f"{shape}: {' and '.join(counts)}."


def _notes(found: pe.Examination) -> list[str]:
    """Return the remarks on the layout that are no problems."""
    notes = layout_notes(found.findings)
    problems = " ".join(problem.what for problem in found.problems)
    return [f"\nNote: {note}." for note in notes if note not in problems]


def _paragraph(problem: pe.Problem) -> str:
    lines = [f"\n{problem.severity.capitalize()}: {problem.what}."]
    lines += [f"  {example}" for example in problem.examples]
    if problem.examples and problem.rows > len(problem.examples):
        lines.append(f"  and {problem.rows - len(problem.examples):,} more")
    advice = problem.advice[0].upper() + problem.advice[1:]
    return "\n".join([*lines, f"  {advice}."])
