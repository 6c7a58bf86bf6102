"""Options that name a vocabulary, and what is said of how it was covered."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click

import pretrained_embed as pe
from pretrained_embed.cli import options

vocab_kind = click.option(
    "--vocab-kind",
    **options.one_of(pe.Vocabulary.KINDS),
    help="text: one token a line; counts: TOKEN<TAB>COUNT lines, or with a blank; "
    "json: a list of tokens or an object from token to id; bert: vocab.txt; "
    "tokenizer: tokenizer.json of Hugging Face, or the folder of a tokenizer; "
    "sentencepiece: .model or .vocab; spacy: the folder of a model; gensim, fasttext: "
    "a dictionary as text; report: what --report wrote as .csv. Left out: found out.",
)


class VocabFile(NamedTuple):
    """Where a vocabulary comes from, and how it is to be read."""

    vocab: str | None = None
    vocab_from: str | None = None
    limit: int | None = None
    vocab_kind: Any = None
    pad_token: str | None = None
    no_pad: bool = False
    unk_token: str | None = None

    @property
    def given(self) -> str:
        """The file, or the source, as it was written."""
        return self.vocab or self.vocab_from or ""

    def read(self, library: pe.Library | None = None) -> pe.Vocabulary:
        """Return the vocabulary; what is left out is as the file says."""
        special: dict[str, Any] = {}
        if self.no_pad or self.pad_token is not None:
            special["pad"] = self.pad_token
        if self.unk_token is not None:
            special["unk"] = self.unk_token
        if self.vocab is not None:
            return pe.Vocabulary.from_file(self.vocab, kind=self.vocab_kind, **special)
        if self.limit is not None:
            special["limit"] = self.limit
        return pe.Vocabulary.from_source(self.vocab_from, library=library, **special)


def _vocab_file(**given: Any) -> VocabFile:
    file = VocabFile(**given)
    if (file.vocab is None) == (file.vocab_from is None):
        raise click.UsageError(
            "give a vocabulary by --vocab FILE, or the first tokens of vectors by "
            "--vocab-from SOURCE"
            if file.vocab is None
            else "--vocab and --vocab-from exclude each other"
        )
    if file.limit is not None and file.vocab is not None:
        raise click.UsageError("--limit is for --vocab-from")
    if file.no_pad and file.pad_token is not None:
        raise click.UsageError("--pad-token and --no-pad exclude each other")
    return file


vocab_options = options.value_options(
    "vocab",
    _vocab_file,
    {
        "vocab": click.option(
            "--vocab",
            metavar="FILE",
            help="The vocabulary: one token a line, or what --vocab-kind names. - is "
            "standard input.",
        ),
        "vocab_from": click.option(
            "--vocab-from",
            **options.source,
            metavar="SOURCE",
            help="In place of --vocab: the first tokens of these vectors.",
        ),
        "limit": click.option(
            "--limit",
            type=click.IntRange(min=1),
            metavar="N",
            help="How many tokens --vocab-from takes.  [default: 50000]",
        ),
        "vocab_kind": vocab_kind,
        "pad_token": click.option(
            "--pad-token",
            type=options.as_token,
            metavar="TOKEN",
            help="The token of the padding row, which is zeros.  [default: as the "
            "vocabulary says, or else <pad>]",
        ),
        "no_pad": click.option("--no-pad", is_flag=True, help="No padding row."),
        "unk_token": click.option(
            "--unk-token",
            type=options.as_token,
            metavar="TOKEN",
            help="The token that stands in for unknown ones.  [default: as the "
            "vocabulary says, or else none]",
        ),
    },
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


def check_stdin(vocab: str | None, sources: Iterable[str]) -> None:
    """Refuse to read both the vocabulary and vectors from standard input."""
    if vocab == "-" and "-" in sources:
        raise click.UsageError(
            "--vocab and the source are both -, and standard input can be read once"
        )
