"""Options of ``build`` that say what fills the rows of tokens that are not found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

import pretrained_embed as pe
from pretrained_embed.cli.options import as_token
from pretrained_embed.errors import brief

Command = TypeVar("Command", bound=Callable[..., Any])


def _by_token(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Take ``mask=zeros`` apart; a token may have ``=`` in it, policies have not."""
    settings: dict[str, str] = {}
    for value in values:
        token, equals, policies = value.rpartition("=")
        if not equals:
            raise click.BadParameter(f"{brief(value)} is not TOKEN=POLICY")
        if token in settings:
            raise click.BadParameter(f"{brief(token)} is there twice")
        settings[token] = policies
    return settings


_OPTIONS = (
    click.option(
        "--oov",
        metavar="POLICY,...",
        default="normal",
        show_default=True,
        help="What fills the rows of tokens that are not found: "
        f"{', '.join(pe.Recipe.choices()['oov'])}. Of several, each fills what those "
        "before it could not; after subword, parts and ngram comes normal, unless "
        "another does.",
    ),
    click.option(
        "--unk-oov",
        metavar="POLICY,...",
        help="The same for the row of the unk token.  [default: the last of --oov]",
    ),
    click.option(
        "--special-oov",
        type=as_token,
        metavar="TOKEN=POLICY,...",
        multiple=True,
        callback=_by_token,
        help="The same for a special token, by what it is for (mask, cls, sep, bos, "
        "eos) or as it stands; may be repeated.  [default: the last of --oov]",
    ),
)


def oov_options(command: Command) -> Command:
    """Add the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
