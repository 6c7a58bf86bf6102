"""Options of ``build`` that say which vectors it reads and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

import pretrained_embed as pe
from pretrained_embed.cli import options
from pretrained_embed.sources.url import url_or_words

Command = TypeVar("Command", bound=Callable[..., Any])


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


_OPTIONS = (
    click.option(
        "--source",
        type=url_or_words,
        metavar="SOURCE",
        multiple=True,
        default=(pe.DEFAULT_SOURCE,),
        show_default=True,
        help="The vectors: a name that 'list' shows, a URL, a path, "
        "archive.zip#member, or - for standard input. An https:// URL is downloaded "
        "once and kept; s3://, gs://, hf:// and remote+https:// are read where they "
        "are. Several: see --combine.",
    ),
    click.option(
        "--combine",
        **options.one_of(pe.Recipe.choices()["combine"]),
        default="fill",
        show_default=True,
        help="Of several sources. fill: a token's vector is from the first that has "
        "it; concat: the vectors of all, side by side; average: their mean.",
    ),
    click.option(
        "--align",
        metavar="shared|FILE",
        help="Turn further sources into the space of the first one, by the tokens that "
        "both have, or by a file with two a line, one of the other source first.",
    ),
    click.option(
        "--scale",
        callback=_factors,
        metavar="NUMBER,...",
        help="A factor for the vectors of each source.",
    ),
    click.option(
        "--normalize-each",
        is_flag=True,
        help="Bring the vectors of each source to length 1 first.",
    ),
    click.option(
        "--post",
        metavar="STEP,...",
        help="Steps that change the finished rows: "
        f"{', '.join(pe.Recipe.choices()['postprocess'])}. all-but-the-top:D takes D "
        "directions, and pca:K keeps K.  [default: none]",
    ),
    click.option(
        "--onto",
        metavar="FILE",
        help="A saved matrix: the tokens it has keep its rows, as they are.",
    ),
)


def source_options(command: Command) -> Command:
    """Add the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
