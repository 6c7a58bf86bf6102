"""``evaluate``: how well vectors agree with what people say of words."""

from __future__ import annotations

from pathlib import Path

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.output import answer, answer_json, tell
from pretrained_embed.cli.progress import Bar
from pretrained_embed.sources.url import url_or_words

#: The formats in which a matrix is saved with its row ledger.
_WHOLE = ("npz", "npy", "hdf5", "safetensors")


@click.command()
@click.argument("matrix", metavar="MATRIX", type=url_or_words)
@options.layout
@options.where_from
@options.as_json
@options.quiet
def evaluate(
    matrix: str,
    layout: str | None,
    cache_dir: Path | None,
    offline: bool | None,
    catalog: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score vectors on word similarity and analogies, with gensim's data sets.

    MATRIX is a saved matrix (.npz, .npy, .h5 or .safetensors), whose found tokens all
    take part; or, as for 'build --source', any vectors, of which the words of the data
    sets alone are read, in lower case where they are not there as they stand. Beside
    every score stands how much of its data set it is about. Analogies take some 20
    seconds.

    \b
    Example:
      pretrained-embed evaluate embedding.npz
      pretrained-embed evaluate glove-6b-50d --json
    """
    from pretrained_embed.adapters import evaluation

    opened = pe.open_vectors(
        matrix,
        layout=layout,
        cache_dir=cache_dir,
        offline=offline,
        catalog=catalog,
    )
    with opened as reader, Bar(quiet=quiet) as bar:
        if reader.format in _WHOLE and Path(matrix).is_file():
            vectors = pe.load_matrix(matrix)
        else:
            vectors = pe.build_matrix(
                evaluation.vocabulary(),
                reader,
                match=("exact", "lower"),
                oov="zeros",
                progress=bar,
            )
    if not quiet:
        tell(f"Evaluating {len(vectors):,} rows of {vectors.dim} dimensions ...")
    result = evaluation.evaluate(vectors)
    if as_json:
        answer_json(result.to_dict())
    else:
        answer(str(result))
