"""``build``: from a vocabulary file to a matrix file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.oov_options import oov_options
from pretrained_embed.cli.output import answer_json, tell
from pretrained_embed.cli.progress import Bar
from pretrained_embed.cli.report import matrix_facts, remarks, shares
from pretrained_embed.cli.source_options import source_options


@click.command()
@click.option(
    "--vocab",
    required=True,
    metavar="FILE",
    help="The vocabulary: one token a line, or what --vocab-kind names.",
)
@click.option(
    "--vocab-kind",
    **options.one_of(pe.VOCAB_KINDS),
    help="text: one token a line; counts: TOKEN<TAB>COUNT lines; json: a list of "
    "tokens or an object from token to id; bert: vocab.txt; tokenizer: tokenizer.json "
    "of Hugging Face, or the folder of a tokenizer; sentencepiece: .model or .vocab; "
    "spacy: the folder of a model; gensim, fasttext: a dictionary as text. Left out: "
    "found out.",
)
@source_options
@click.option(
    "--match",
    default="exact",
    show_default=True,
    metavar="FORM,...",
    help="The forms of a token that are looked for, in this order: "
    f"{', '.join(pe.MATCH_FORMS)}; lemma:en and the like where a language is meant; "
    "lower+nfkc for one after the other.",
)
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
    metavar="TOKEN",
    help="The token of the padding row, which is zeros.  [default: as the vocabulary "
    "says, or else <pad>]",
)
@click.option("--no-pad", is_flag=True, help="No padding row.")
@click.option(
    "--unk-token",
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
    "--on-bad-row",
    **options.one_of(["error", "skip"]),
    default="error",
    show_default=True,
    help="Malformed rows of the source: stop, or leave them out and say so.",
)
@options.max_bad_rows
@click.option(
    "--no-store",
    is_flag=True,
    help="Read the source itself, not its store in the cache, and make none.",
)
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
    f"format: {' '.join(pe.WRITABLE_SUFFIXES)}.",
)
@options.where_from
@options.as_json
@options.quiet
def build(
    vocab: str,
    vocab_kind: Any,
    source: tuple[str, ...],
    combine: Any,
    scale: tuple[float, ...] | None,
    normalize_each: bool,
    post: str | None,
    extend: str | None,
    match: str,
    oov: str,
    unk_oov: str | None,
    special_oov: dict[str, str],
    seed: int,
    pad_token: str | None,
    no_pad: bool,
    unk_token: str | None,
    min_coverage: float,
    on_bad_row: Any,
    max_bad_rows: Any,
    no_store: bool,
    threads: int | None,
    output: Path,
    cache_dir: Path | None,
    offline: bool | None,
    catalog: Path | None,
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
    _check_output(output, vocab, source)

    special: dict[str, Any] = {}  # what is left out is as the vocabulary says
    if no_pad or pad_token is not None:
        special["pad"] = pad_token
    if unk_token is not None:
        special["unk"] = unk_token
    vocabulary = pe.Vocabulary.from_file(vocab, kind=vocab_kind, **special)
    with Bar(quiet=quiet) as bar:
        matrix = pe.build_matrix(
            vocabulary,
            source,
            combine=combine,
            scale=scale,
            normalize_each=normalize_each,
            postprocess=post or (),
            extend=extend,
            match=match,
            oov=oov,
            unk=unk_oov,
            special_oov=special_oov,
            seed=seed,
            min_coverage=min_coverage,
            threads=threads,
            on_bad_row=on_bad_row,
            max_bad_rows=max_bad_rows,
            use_store=not no_store,
            cache_dir=cache_dir,
            offline=offline,
            catalog=catalog,
            progress=bar,
        )
    matrix.save(output)

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


def _check_output(output: Path, vocab: str, sources: tuple[str, ...]) -> None:
    """Refuse, before the work is done, a place that the matrix cannot go to."""
    if output.suffix.lower() not in pe.WRITABLE_SUFFIXES:
        raise click.BadParameter(
            f"{str(output)!r} does not end in one of {' '.join(pe.WRITABLE_SUFFIXES)}",
            param_hint="'--output'",
        )
    if not output.parent.is_dir():
        raise click.BadParameter(
            f"there is no folder {str(output.parent)!r}", param_hint="'--output'"
        )
    # Not Path.expanduser: a name that begins with ~ need not be that of a user.
    paths = [Path(os.path.expanduser(source)) for source in sources]  # noqa: PTH111
    for name, path in (("vocabulary", Path(vocab)), *(("source", p) for p in paths)):
        if output.exists() and path.exists() and output.samefile(path):
            raise click.BadParameter(
                f"the matrix would take the place of the {name}, {str(path)!r}",
                param_hint="'--output'",
            )
