"""``coverage``: how much of a vocabulary each of several sources has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.build_options import (
    VocabFile,
    check_stdin,
    limits_options,
    recipe_options,
    report,
    spreadsheet,
    vocab_options,
)
from pretrained_embed.cli.options import library_options
from pretrained_embed.cli.output import (
    Bar,
    answer,
    answer_json,
    check_target,
    number,
    remarks,
    tell,
)
from pretrained_embed.markup import columns


@click.command()
@vocab_options("vocab", "vocab_from", "limit", "vocab_kind")
@options.sources
@recipe_options("match", "layout")
@limits_options("bad_rows")
@report
@spreadsheet
@library_options("cache_dir", "offline", "catalog", "mmap")
@options.as_json
@options.quiet
def coverage(
    vocab: VocabFile,
    source: tuple[str, ...],
    recipe: pe.Recipe,
    limits: pe.Limits,
    report: Path | None,
    spreadsheet: bool,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare how much of a vocabulary sources have.

    No matrix is built. TOKENS is the share of the tokens that a source has, TEXT the
    share of the text that they make up, where the vocabulary has counts. Below the
    table are the forms that would find more, and the tokens that only one source has or
    lacks.

    \b
    Example:
      pretrained-embed coverage --vocab vocab.txt --source a.vec --source b.txt
    """
    check_stdin(vocab.given, source)
    if report is not None:
        check_target(
            report,
            "--report",
            options.REPORT_SUFFIXES,
            vocabulary=vocab.given,
            sources=source,
        )
    vocabulary = vocab.read(library)
    with Bar(quiet=quiet) as bar:
        comparison = pe.coverage(
            vocabulary,
            source,
            recipe=recipe,
            limits=limits,
            library=library,
            progress=bar,
        )
    if report is not None:
        comparison.save_report(report, spreadsheet=spreadsheet)
    if not quiet:
        pairs = zip(comparison.sources, comparison.located, strict=True)
        for each, ledger in pairs:
            for remark in remarks(ledger.findings):
                tell(f"{each.source}: {remark}")
    if as_json:
        answer_json(comparison.to_dict())
    else:
        answer("\n".join(_lines(comparison)))


def _lines(comparison: pe.Comparison) -> Iterator[str]:
    sources = comparison.sources
    forms = list(dict.fromkeys(f for each in sources for f in each.coverage.by_origin))
    counted = comparison.vocabulary.counts is not None
    head = ["SOURCE", "DIM", "ROWS", "FOUND", "TOKENS", *(["TEXT"] * counted)]
    rows = [
        [
            each.source,
            number(each.dim),
            number(each.rows),
            *_shares(each.coverage, counted),
            *(number(each.coverage.by_origin.get(form, 0)) for form in forms),
        ]
        for each in sources
    ]
    if len(sources) > 1:
        blank = [""] * len(forms)
        rows.append(
            ["together", "", "", *_shares(comparison.together, counted), *blank]
        )
    head += [form.upper() for form in forms]
    yield columns(head, rows, right=range(1, len(head)))
    for each in sources:
        notes = [each.coverage.advice_text()]
        if len(sources) > 1:
            notes += [
                f"{what}: {', '.join(map(repr, tokens))}."
                for what, tokens in (
                    ("Only here", each.only_here),
                    ("Only not here", each.only_not_here),
                )
                if tokens
            ]
        elif each.coverage.oov:
            missing = ", ".join(map(repr, each.coverage.oov_examples))
            notes.append(f"Not found: {missing}.")
        if notes := [note for note in notes if note]:
            yield "\n".join(["", each.source, *(f"  {note}" for note in notes)])


def _shares(coverage: pe.Coverage, counted: bool) -> list[str]:
    return [number(coverage.found), *coverage.percentages[: 1 + counted]]
