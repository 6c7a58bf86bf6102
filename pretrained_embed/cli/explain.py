"""``explain``: how the rows of a saved matrix were filled."""

from __future__ import annotations

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.output import answer, answer_json


@click.command()
@click.argument("matrix", metavar="MATRIX")
@click.argument(
    "tokens", metavar="TOKEN...", type=options.as_token, nargs=-1, required=True
)
@library_options("mmap")
@options.as_json
def explain(
    matrix: str, tokens: tuple[str, ...], library: pe.Library, as_json: bool
) -> None:
    """Tell how the rows of tokens were filled.

    Found or not, in which form, in which row of which source. A token that begins with
    - comes after --.

    \b
    Example:
      pretrained-embed explain embedding.npz Paris snowmageddon
    """
    loaded = pe.load_matrix(matrix, library=library)
    stories = [loaded.explain(token) for token in tokens]
    if as_json:
        answer_json([story.to_dict() for story in stories])
    else:
        answer("\n".join(map(str, stories)))
