"""The options that say where vectors come from, as one `Library`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

import pretrained_embed as pe
from pretrained_embed.cli.output import tell

Command = TypeVar("Command", bound=Callable[..., Any])


def _remarked(context: click.Context, _: click.Parameter, value: Path | None) -> Any:
    """Say, once, what the user should know of the cache that is used."""
    if not context.params.get("quiet") and not context.resilient_parsing:
        for remark in pe.Library(value).cache.remarks():
            tell(f"Note: {remark}.")
    return value


#: Each option, by the field of the library that it sets.
_OPTIONS = {
    "cache_dir": click.option(
        "--cache-dir",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        callback=_remarked,
        help="The cache. Left out: what PRETRAINED_EMBED_CACHE names; else cache "
        "beside this package, if that is a checkout; else your own cache folder.",
    ),
    "offline": click.option(
        "--offline",
        is_flag=True,
        default=None,
        help="Never use the network, nor what is read over it, such as s3://. The same "
        "as PRETRAINED_EMBED_OFFLINE=1.",
    ),
    "catalog": click.option(
        "--catalog",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A catalog of your own, merged into ours. Left out: what "
        "PRETRAINED_EMBED_CATALOG names.",
    ),
    "stores": click.option(
        "--no-store",
        "stores",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Read the source itself, not its store in the cache, and make none.",
    ),
    "mmap": click.option(
        "--no-mmap",
        "mmap",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Read files into memory and map none: for files that another program may "
        "cut short meanwhile, which would end this one by SIGBUS.",
    ),
}


def library_options(*fields: str) -> Callable[[Command], Command]:
    """Add the options of these fields of a `Library`, which the command is given.

    All of them are ``cache_dir``, ``offline``, ``catalog``, ``stores`` and ``mmap``, in
    the order in which the help shows them. The command takes ``library``.
    """

    def added(command: Command) -> Command:
        @wraps(command)
        def run(*args: Any, **given: Any) -> Any:
            set_ = {name: given.pop(name) for name in fields}
            return command(*args, library=pe.Library(**set_), **given)

        made: Any = run
        for name in reversed([name for name in _OPTIONS if name in fields]):
            made = _OPTIONS[name](made)
        result: Command = made
        return result

    return added
