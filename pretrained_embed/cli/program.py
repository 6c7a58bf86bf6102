"""The command `pretrained-embed` itself, and what becomes of errors.

Exit codes: 0 done; 1 an error that a message explains; 2 wrong usage; 130 interrupted.
The docstrings of the commands are their help; click wraps no paragraph that begins
with a backspace.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import click

from pretrained_embed import OptionError, PretrainedEmbedError, versions
from pretrained_embed.cli.align import align
from pretrained_embed.cli.build import build
from pretrained_embed.cli.cache import cache
from pretrained_embed.cli.compare import compare
from pretrained_embed.cli.convert import convert
from pretrained_embed.cli.coverage import coverage
from pretrained_embed.cli.doctor import doctor
from pretrained_embed.cli.evaluate import evaluate
from pretrained_embed.cli.explain import explain
from pretrained_embed.cli.fetch import fetch
from pretrained_embed.cli.index import index
from pretrained_embed.cli.info import info
from pretrained_embed.cli.list import list_
from pretrained_embed.cli.output import answer, tell
from pretrained_embed.cli.plot import plot
from pretrained_embed.cli.report_page import report_page
from pretrained_embed.cli.similar import similar
from pretrained_embed.cli.wrong_usage import remedy
from pretrained_embed.kernel.choice import SlowKernelWarning

INTERRUPTED = 130  # as shells report a program that Ctrl-C ended


class Program(click.Group):
    """A group of commands that turns every error into a message and an exit code."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run a command line, by default that of this process; then exit."""
        options["standalone_mode"] = False
        with warnings.catch_warnings():
            warnings.showwarning = _shown(warnings.showwarning)
            words = args[0] if args else options.get("args")
            words = list(sys.argv[1:] if words is None else words)
            run = lambda: super(Program, self).main(*args, **options)  # noqa: E731  (too long in its place)
            sys.exit(_exit_code(run, words))


def _shown(others: Callable[..., None]) -> Callable[..., None]:
    """Return what shows the warning of a slow kernel in one line."""

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, SlowKernelWarning):
            tell(f"Note: {message}")
        else:
            others(message, category, *place)

    return show


def _exit_code(run: Callable[[], Any], words: list[str]) -> int:
    try:
        return run() or 0  # click returns the code of its own exits, as after --help
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        tell(shown.getvalue().rstrip("\n"))
        if isinstance(error, click.UsageError) and (what := remedy(error, words)):
            tell(what)
        return error.exit_code
    except click.Abort:
        tell("Interrupted.")
        return INTERRUPTED
    except OptionError as error:
        tell(f"Error: {error}")
        return click.UsageError.exit_code
    except PretrainedEmbedError as error:
        tell(f"Error: {error}")
    except MemoryError as error:
        tell(f"Error: not enough memory. {error}".rstrip())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        tell(f"Error: {where}{error.strerror or error}")
    return click.ClickException.exit_code


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        answer(f"pretrained-embed {versions()['pretrained_embed']}")
        context.exit()


@click.group(
    "pretrained-embed",
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def program() -> None:
    """Pretrained word vectors, aligned to your vocabulary.

    \b
    Example:
      pretrained-embed build --vocab vocab.txt
    """


for command in (
    build,
    coverage,
    info,
    explain,
    similar,
    plot,
    report_page,
    doctor,
    convert,
    list_,
    fetch,
    index,
    cache,
    evaluate,
    align,
    compare,
):
    program.add_command(command)


def main() -> NoReturn:
    """Run the command line of this process; then exit."""
    program.main(prog_name=program.name)
