"""Options on what is looked for: the vocabulary, and the forms of its tokens."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.options import Command

vocab_kind = click.option(
    "--vocab-kind",
    **options.one_of(pe.Vocabulary.KINDS),
    help="text: one token a line; counts: TOKEN<TAB>COUNT lines, or with a blank; "
    "json: a list of tokens or an object from token to id; bert: vocab.txt; "
    "tokenizer: tokenizer.json of Hugging Face, or the folder of a tokenizer; "
    "sentencepiece: .model or .vocab; spacy: the folder of a model; gensim, fasttext: "
    "a dictionary as text; report: what --report wrote as .csv. Left out: found out.",
)

_OPTIONS = (
    click.option(
        "--vocab",
        required=True,
        metavar="FILE",
        help="The vocabulary: one token a line, or what --vocab-kind names. - is "
        "standard input.",
    ),
    vocab_kind,
    click.option(
        "--match",
        default="exact",
        show_default=True,
        metavar="FORM,...",
        help="The forms of a token that are looked for, in this order: "
        f"{', '.join(pe.Recipe.choices()['match'])}. With a language: lemma:en. "
        "One after the other: lower+strip-accents.",
    ),
)

report = click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write all that is known of the coverage. The suffix names the form: "
    f"{' '.join(pe.Coverage.REPORT_SUFFIXES)}.",
)

spreadsheet = click.option(
    "--spreadsheet",
    is_flag=True,
    help="With --report in .csv: put an apostrophe before cells that a spreadsheet "
    "would run as a formula. --vocab takes it off again.",
)


def match_options(command: Command) -> Command:
    """Add the options on what is looked for."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_stdin(vocab: str | None, sources: Iterable[str]) -> None:
    """Refuse to read both the vocabulary and vectors from standard input."""
    if vocab == "-" and "-" in sources:
        raise click.UsageError(
            "--vocab and the source are both -, and standard input can be read once"
        )
