"""``transplant``: a language model's embedding for another tokenizer."""

from __future__ import annotations

from pathlib import Path

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.options import library_options
from pretrained_embed.cli.output import answer_json, plural, tell
from pretrained_embed.errors import OptionError


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="The new folder that the model is written to.",
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    metavar="NEW",
    help="The new tokenizer: its folder, or a tokenizer.json.",
)
@click.option(
    "--add",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="TOKENS",
    help="Instead of --tokenizer: a file of tokens, one a line, to add to the model's "
    "own tokenizer.",
)
@click.option(
    "--old-tokenizer",
    type=click.Path(path_type=Path),
    metavar="OLD",
    help="The tokenizer the model was made with. Default: the one in its folder.",
)
@click.option(
    "--init",
    default="pieces",
    show_default=True,
    metavar="NAME,...",
    help="How new rows are made, in the order they are tried: pieces, omp, "
    "similarity, mean.",
)
@click.option(
    "--static",
    type=options.source_words,
    metavar="SOURCE",
    help="Vectors of words or of the new tokens, for omp and similarity.",
)
@click.option(
    "--override",
    type=options.source_words,
    metavar="FILE",
    help="Your own rows: vectors of tokens, of the same dim as those of the model.",
)
@click.option(
    "--match-norms",
    is_flag=True,
    help="Scale new rows to the mean norm of what they are made of.",
)
@click.option(
    "--multiple-of",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Make the number of rows a multiple of this.",
)
@click.option("--tensor", metavar="NAME", help="The tensor of the input embedding.")
@click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what each row is made of, a line of JSON for each token.",
)
@library_options("cache_dir", "offline", "catalog", "mmap")
@options.as_json
@options.quiet
def transplant(
    model: Path,
    output: Path,
    tokenizer: Path | None,
    add: Path | None,
    old_tokenizer: Path | None,
    init: str,
    static: str | None,
    override: str | None,
    match_norms: bool,
    multiple_of: int,
    tensor: str | None,
    ledger: Path | None,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Give a language model another tokenizer, or more tokens.

    MODEL is its folder. Tokens of both tokenizers keep their rows, bit for bit; --init
    says how the other rows are made. The configs get the new ids.

    \b
    Example:
      pretrained-embed transplant llama --tokenizer new -o llama-new
      pretrained-embed transplant llama --add tokens.txt -o llama-grown
      pretrained-embed transplant llama --tokenizer new --init omp --static other -o out
    """
    if (tokenizer is None) == (add is None):
        raise OptionError("give --tokenizer or --add, one of the two")
    made = pe.transplant(
        model,
        old_tokenizer,
        tokenizer,
        new_tokens=None if add is None else _tokens(add),
        init=init,
        static=static,
        override=override,
        match_norms=match_norms,
        multiple_of=multiple_of,
        tensor=tensor,
        library=library,
    )
    made.save(output)
    if ledger is not None:
        made.save_ledger(ledger)
    if as_json:
        told = {"output": str(output), "rows": len(made.start)}
        answer_json(told | {"tensors": [*made.tensors], "start": made.counts()})
    if not quiet:
        tell(str(made))
        tell(f"Wrote {output}: {plural(len(made.vocabulary), 'token')}.")


def _tokens(path: Path) -> list[str]:
    return [*pe.Vocabulary.from_file(path, kind="text", pad=None)]
