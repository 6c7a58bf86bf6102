"""Options of a build: the vocabulary, the recipe, the limits, the workers.

Each decorator takes the names of the fields that a command has, and passes one value to
the command: ``vocab``, ``recipe``, ``limits``, ``work``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.errors import MissingPackageError, WorkerError, brief

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: How many seconds a scheduler has to answer.
_PATIENCE = 30

_CHOICES = {name: ", ".join(words) for name, words in options.CHOICES.items()}


def _completed(field: str) -> dict[str, Any]:
    return options.completing(lambda: options.CHOICES[field], several=True)


def _by_token(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Split ``mask=zeros``; a token may contain ``=``, a policy cannot."""
    settings: dict[str, str] = {}
    for value in values:
        token, equals, policies = value.rpartition("=")
        if not equals:
            raise click.BadParameter(f"{brief(value)} is not TOKEN=POLICY")
        if token in settings:
            raise click.BadParameter(f"{brief(token)} is there twice")
        settings[token] = policies
    return settings


def _factors(
    _: click.Context, __: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        return tuple(float(factor) for factor in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no list of numbers with commas between them"
        ) from None


def _bad_rows(_: click.Context, __: click.Parameter, value: str) -> int | float:
    """Parse ``100``, ``0.001`` or ``0.1%`` as a number of rows or a share of them."""
    try:
        if value.endswith("%"):
            return float(value[:-1]) / 100
        return int(value) if value.isdecimal() else float(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither a number of rows nor a share such as 0.1%"
        ) from None


recipe_options = options.value_options(
    "recipe",
    lambda **given: pe.Recipe(**given),
    {
        "combine": click.option(
            "--combine",
            **options.one_of(options.CHOICES["combine"]),
            default="fill",
            show_default=True,
            help="Of several sources. fill: a token's vector is from the first that "
            "has it; concat: the vectors of all, side by side; average: their mean.",
        ),
        "align": click.option(
            "--align",
            metavar="shared|FILE",
            help="Turn the other sources into the space of the first, by the tokens "
            "that both have, or by a file with two tokens on each line: that of the "
            "other source, then that of the first.",
        ),
        "scale": click.option(
            "--scale",
            callback=_factors,
            metavar="NUMBER,...",
            help="A factor for the vectors of each source.",
        ),
        "normalize_each": click.option(
            "--normalize-each",
            is_flag=True,
            help="Bring the vectors of each source to length 1 first.",
        ),
        "postprocess": click.option(
            "--post",
            "postprocess",
            **_completed("postprocess"),
            metavar="STEP,...",
            callback=lambda _, __, given: () if given is None else given,
            help=f"Steps that change the finished rows: {_CHOICES['postprocess']}. "
            "all-but-the-top:D removes D directions, pca:K keeps K, truncate:K "
            "keeps the first K numbers.  "
            "[default: none]",
        ),
        "match": click.option(
            "--match",
            **_completed("match"),
            default="exact",
            show_default=True,
            metavar="FORM,...",
            help="The forms of a token that are looked for, in this order: "
            f"{_CHOICES['match']}. With a language: lemma:en. Combined: "
            "lower+strip-accents.",
        ),
        "oov": click.option(
            "--oov",
            **_completed("oov"),
            metavar="POLICY,...",
            default="normal",
            show_default=True,
            help="What fills the rows of tokens that are not found: "
            f"{_CHOICES['oov']}. Of several, each fills what those before it could "
            "not; after subword, parts and ngram comes normal, unless another does.",
        ),
        "special_oov": click.option(
            "--special-oov",
            type=options.as_token,
            metavar="TOKEN=POLICY,...",
            multiple=True,
            callback=_by_token,
            help="The same for one special token, named by its role (unk, mask, cls, "
            "sep, bos, eos) or as it is written; may be repeated.  "
            "[default: the last of --oov]",
        ),
        "seed": click.option(
            "--seed",
            type=int,
            default=0,
            show_default=True,
            help="Seed for the numbers that normal and uniform draw.",
        ),
        "dtype": click.option(
            "--dtype",
            **options.one_of(options.CHOICES["dtype"]),
            default="float32",
            show_default=True,
            help="The dtype of the finished rows. int8, int4 and binary have a scale "
            "for each row.",
        ),
        "layout": options.layouts,
    },
)

limits_options = options.value_options(
    "limits",
    lambda **given: pe.Limits(**given),
    {
        "coverage": click.option(
            "--min-coverage",
            "coverage",
            type=click.FloatRange(0, 1),
            default=0.0,
            show_default=True,
            help="The least share of the tokens to be found; less is an error.",
        ),
        "text_coverage": click.option(
            "--min-text-coverage",
            "text_coverage",
            type=click.FloatRange(0, 1),
            default=0.0,
            show_default=True,
            help="The least share of the text that the found tokens make up, by the "
            "counts of the vocabulary.",
        ),
        "bad_rows": click.option(
            "--bad-rows",
            metavar="N|SHARE",
            default="0",
            show_default=True,
            callback=_bad_rows,
            help="How many malformed rows of a source may be left out, as a number or "
            "a share of its rows (100, 0.001, 0.1%); 100% is any number. More are an "
            "error. They are counted.",
        ),
    },
)


def _work(threads: int | None, memory: str | None) -> pe.Work:
    return pe.Work(threads, memory=memory, advise=True)


work_options = options.value_options(
    "work",
    _work,
    {
        "threads": click.option(
            "--threads",
            type=click.IntRange(min=1),
            help="[default: the CPUs this process may use]",
        ),
        "memory": click.option(
            "--memory",
            metavar="SIZE",
            help="Memory for the index of the tokens, such as 4GB; a larger index is "
            "made in several passes.  [default: half of what is free]",
        ),
    },
)

dask = click.option(
    "--dask",
    metavar="SCHEDULER",
    help="Use the workers of this Dask scheduler, named by its address or its file. "
    "They need the same files at the same paths.",
)


@contextmanager
def dask_executor(scheduler: str | None) -> Iterator[Executor | None]:
    """Yield an executor on the workers of a Dask scheduler; ``None`` for no scheduler.

    Raises `MissingPackageError`, and `WorkerError` if no scheduler answers.
    """
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingPackageError(
            "--dask needs Dask: pip install 'pretrained-embed[dask]'"
        ) from error
    by_file = Path(scheduler).is_file()
    where: dict[str, Any] = (
        {"scheduler_file": scheduler} if by_file else {"address": scheduler}
    )
    try:
        client = Client(**where, timeout=_PATIENCE)
    except (OSError, ValueError) as error:  # no answer; invalid address
        raise WorkerError(
            f"no Dask scheduler answers at {scheduler!r}: {error}. Its address looks "
            "like tcp://host:8786"
        ) from error
    with client:
        yield client.get_executor()


vocab_kind = click.option(
    "--vocab-kind",
    **options.one_of(options.KINDS),
    help="text: one token a line; counts: TOKEN<TAB>COUNT lines, or with a blank; "
    "json: a list of tokens or an object from token to id; bert: vocab.txt; "
    "tokenizer: tokenizer.json of Hugging Face, or the folder of a tokenizer; "
    "sentencepiece: .model or .vocab; spacy: the folder of a model; gensim, fasttext: "
    "a dictionary as text; report: what --report wrote as .csv; numbers: a whole "
    "number a line, kept as int64; saved: a file of Vocabulary.save. Default: "
    "recognised from the file.",
)


class VocabFile(NamedTuple):
    """The source of a vocabulary, and how to read it."""

    vocab: str | None = None
    vocab_from: str | None = None
    limit: int | None = None
    vocab_kind: Any = None
    pad_token: str | None = None
    no_pad: bool = False
    unk_token: str | None = None

    @property
    def given(self) -> str:
        """The file, or the source, as it was given."""
        return self.vocab or self.vocab_from or ""

    def read(self, library: pe.Library | None = None) -> pe.Vocabulary:
        """Return the vocabulary; unset options follow the file."""
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
    f"{' '.join(options.REPORT_SUFFIXES)}.",
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
