"""Options of ``build`` for what is larger than the memory, or than one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from pretrained_embed.errors import MissingPackageError, WorkerError

Command = TypeVar("Command", bound=Callable[..., Any])

#: Seconds that a scheduler has to answer.
_PATIENCE = 30


_OPTIONS = (
    click.option(
        "--memory",
        metavar="SIZE",
        help="What the index of the tokens may take, such as 4GB; tokens that need "
        "more are looked for in several passes.  [default: half of what is free]",
    ),
    click.option(
        "--dask",
        metavar="SCHEDULER",
        help="Read the source with the workers of a Dask scheduler, by its address or "
        "its file. They need the same files at the same places.",
    ),
    click.option(
        "--shards",
        type=click.IntRange(min=1),
        metavar="N",
        help="Write N safetensors files with an index into the new folder that "
        "--output names.",
    ),
)


def scale_options(command: Command) -> Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def dask_executor(scheduler: str | None) -> Iterator[Executor | None]:
    """Give an executor of the workers of a Dask scheduler; ``None`` for no scheduler.

    Raises `MissingPackageError`, and `WorkerError` where no scheduler answers.
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
    where = {"scheduler_file": scheduler} if by_file else {"address": scheduler}
    try:
        client = Client(**where, timeout=_PATIENCE)
    except (OSError, ValueError) as error:  # no answer; no address
        raise WorkerError(
            f"no Dask scheduler answers at {scheduler!r}: {error}. Its address looks "
            "like tcp://host:8786"
        ) from error
    with client:
        yield client.get_executor()
