"""``examine``: what is wrong with a file of vectors, and what would mend it."""

from __future__ import annotations

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.output import answer, answer_json, plural
from pretrained_embed.cli.progress import Bar
from pretrained_embed.cli.remarks import layout_notes

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
    """Say what is wrong with a file of vectors.

    All of it is read. Malformed rows, a false header, a cut file, tokens that are there
    twice or are not UTF-8, and numbers that are none are errors: the exit code is 1.
    Tokens that only look odd, and vectors of zeros, are warnings. Each comes with what
    would mend it.

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
    """Return what is remarkable about the layout, and no problem of its own."""
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
