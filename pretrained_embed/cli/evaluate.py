"""``evaluate``: how well vectors agree with what people know of words."""

from __future__ import annotations

from pathlib import Path

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.cli.library_options import library_options
from pretrained_embed.cli.output import answer, answer_json, tell
from pretrained_embed.cli.progress import Bar
from pretrained_embed.cli.remarks import layout_notes


@click.command()
@click.argument(
    "sources", metavar="MATRIX|SOURCE...", **options.source, nargs=-1, required=True
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A task of your own, once for each: two words and a number a line; four "
    "words; a word and its category; or a folder of sets with an odd one out.  "
    "[default: those there are]",
)
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="How often items are drawn anew for an interval; 0: no intervals.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the intervals."
)
@options.layout
@library_options("cache_dir", "offline", "catalog", "mmap")
@options.as_json
@options.quiet
def evaluate(
    sources: tuple[str, ...],
    tasks: tuple[Path, ...],
    samples: int,
    seed: int,
    layout: str | None,
    library: pe.Library,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score vectors on similarity, analogies and categories.

    A saved matrix (.npz, .npy, .h5 or .safetensors) takes part with its found tokens;
    of any other vectors, as for 'build --source', the words of the tasks alone are
    read, in lower case where they are not there as they stand. Several are compared on
    the items that all of them have. Beside every score stand an interval of 95 % and
    how much of the task it is about.

    \b
    Example:
      pretrained-embed evaluate embedding.npz
      pretrained-embed evaluate glove-6b-50d vectors.bin --task pairs.tsv --json
    """
    with Bar(quiet=quiet) as bar:
        readers = [
            pe.open_vectors(
                source,
                layout=layout,
                library=library,
                progress=bar,
            )
            for source in sources
        ]
        result = pe.evaluate(
            readers, tasks or None, samples=samples, seed=seed, progress=bar
        )
        findings = {reader.name: reader.findings for reader in readers}
        for reader in readers:
            reader.close()
    if not quiet:
        for note in result.left_out:
            tell(f"Note: left out: {note}.")
        for name, found in findings.items():
            for note in layout_notes(found):
                tell(f"{name}: Note: {note}.")
    if as_json:
        facts = {name: found.facts for name, found in findings.items()}
        answer_json(result.to_dict() | {"findings": facts})
    else:
        answer(str(result))
