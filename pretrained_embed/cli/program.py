"""The command `pretrained-embed` itself, and how errors are reported.

Exit codes: 0 done; 1 an error that a message explains; 2 wrong usage; 130 interrupted.
The docstrings of the commands are their help; click does not wrap a paragraph that
begins with a backspace.
"""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from pretrained_embed import PretrainedEmbedError, __version__
from pretrained_embed.cli.output import answer, tell
from pretrained_embed.errors import FormatError, OptionError

INTERRUPTED = 130  # the exit code of shells for a program ended by Ctrl-C


#: How to leave malformed rows out, for a command with an option for it and without.
_GIVE = "give --bad-rows, such as 10 or 0.1%,"
_COPY = "make a copy by 'pretrained-embed convert IN OUT --bad-rows 100%'"

#: The commands in the groups of the help, each with a summary of one line.
GROUPS = {
    "Build": {
        "build": "Write the matrix whose row I is the vector of token I.",
        "coverage": "Compare how much of a vocabulary sources have.",
        "list": "List the vectors that can be asked for by name.",
        "fetch": "Download vectors into the cache; print their path.",
        "index": "Index a file; building from it then takes milliseconds.",
        "cache": "Show, check and empty the cache.",
    },
    "Look at a matrix": {
        "explain": "Explain how the rows of tokens were filled.",
        "similar": "List the tokens nearest to a token, or to a sum.",
        "page": "Write a page: coverage, and a map of the tokens.",
        "plot": "Draw tokens as points; similar tokens are near each other.",
        "evaluate": "Score vectors on similarity, analogies and categories.",
        "compare": "Show the changes between two matrices.",
    },
    "Files of vectors": {
        "info": "Show the contents of a file, a saved matrix or a name.",
        "examine": "Find the problems of a file of vectors.",
        "convert": "Write vectors in another format.",
        "align": "Turn vectors into the space of others.",
        "transplant": "Give a language model another tokenizer, or more tokens.",
    },
}
SUMMARIES = {name: text for group in GROUPS.values() for name, text in group.items()}

#: The modules of commands that have no module of their own name.
_MODULES = {
    **dict.fromkeys(("list", "fetch", "index"), "catalog"),
    **dict.fromkeys(GROUPS["Look at a matrix"], "matrix"),
    **dict.fromkeys(("info", "examine"), "inspection"),
}


class Commands(Mapping[str, click.Command]):
    """The commands by name, each imported when it is looked up.

    Therefore ``--version`` and the completion of names import no command, and no numpy.
    """

    def __getitem__(self, name: str) -> click.Command:
        """Return a command."""
        if name not in SUMMARIES:
            raise KeyError(name)
        module = import_module(f"pretrained_embed.cli.{_MODULES.get(name, name)}")
        # Python has a built-in `list`
        command: click.Command = getattr(module, "list_" if name == "list" else name)
        return command

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(SUMMARIES)

    def __len__(self) -> int:
        """Return the number of commands."""
        return len(SUMMARIES)


class Program(click.Group):
    """A group of commands that turns every error into a message and an exit code."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run a command line, by default that of this process; then exit."""
        options["standalone_mode"] = False
        with warnings.catch_warnings():
            warnings.showwarning = _shown(warnings.showwarning)
            words = args[0] if args else options.get("args")
            words = list(sys.argv[1:] if words is None else words)
            run = lambda: super(Program, self).main(*args, **options)  # noqa: E731  (short)
            sys.exit(_exit_code(run, words))

    def invoke(self, context: click.Context) -> Any:
        """Run a command; an error for a malformed row names an option of it."""
        try:
            return super().invoke(context)
        except FormatError as error:
            if error.way is not None:
                command = self.commands[context.invoked_subcommand or ""]
                options = [name for one in command.params for name in one.opts]
                error.way = _GIVE if "--bad-rows" in options else _COPY
            raise

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the commands in their groups."""
        for title, summaries in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(list(summaries.items()))

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the name of a command, or an option before it."""
        names = sorted(name for name in SUMMARIES if name.startswith(incomplete))
        items = [CompletionItem(name, help=SUMMARIES[name]) for name in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)


def _shown(others: Callable[..., None]) -> Callable[..., None]:
    """Return a function that shows the warning about a slow kernel in one line."""

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        from pretrained_embed.kernel.choice import SlowKernelWarning

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
        answer(f"pretrained-embed {__version__}")
        context.exit()


@click.group(
    "pretrained-embed",
    cls=Program,
    commands=Commands(),
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


def main() -> NoReturn:
    """Run the command line of this process; then exit."""
    program.main(prog_name=program.name)


#: Options of other programs, and the equivalent here.
_ELSEWHERE = {
    **dict.fromkeys(
        ("--dim", "--dims", "--dimension", "--size", "--vector-size"),
        "The dim is that of --source: name vectors of the dim you want, such as "
        "glove-6b-300d, or make it less with --post pca:50.",
    ),
    **dict.fromkeys(
        ("--lower", "--lowercase", "--ignore-case"),
        "--match exact,lower looks for tokens in lower case, too.",
    ),
    **dict.fromkeys(
        ("--vectors", "--embeddings", "--input", "--model"), "Vectors are --source."
    ),
    "--extend": "It is --onto now.",
    "--min-token-coverage": "It is --min-text-coverage now.",
    "--on-bad-row": "It is --bad-rows now: --bad-rows 100% leaves out any number.",
    "--max-bad-rows": "It is --bad-rows now, which needs no other option.",
    "--unk-oov": "It is --special-oov unk=POLICY now.",
    **dict.fromkeys(("--pad",), "The token of the padding row is --pad-token."),
    **dict.fromkeys(("--unk",), "The token of unknown ones is --unk-token."),
    **dict.fromkeys(("--format", "--type"), "The suffix of --output names the format."),
    **dict.fromkeys(
        ("--force", "--overwrite"), "It is not needed: --output replaces what is there."
    ),
}
#: Former names of commands.
_FORMER_COMMANDS = {"doctor": "examine", "report": "page"}
_OPTION = re.compile(r"--[a-z][a-z-]*")
_LIST = re.compile(r",\.\.\.$")  # the end of the metavar of an option that takes a list


def remedy(error: click.UsageError, args: Sequence[str]) -> str:
    """Return a sentence that says what to write instead; "" if that is not known."""
    if error.ctx is None:
        return ""
    if isinstance(error.ctx.command, click.Group):
        now = next((_FORMER_COMMANDS[w] for w in args if w in _FORMER_COMMANDS), None)
        return f"It is {now} now." if now else ""
    options = {
        name: parameter
        for parameter in error.ctx.command.params
        for name in parameter.opts
        if name.startswith("-")
    }
    if isinstance(error, click.NoSuchOption):
        told = _ELSEWHERE.get(error.option_name, "")
        return told if options.keys() >= {*_OPTION.findall(told)} else ""
    words = _loose_words(args, error.ctx.command.name, options)
    if not words:
        return ""
    if isinstance(error, click.MissingParameter):
        name = next(iter(error.param.opts), "") if error.param else ""
        loose = next(iter(words))
        return f"Write {name} {loose}." if name in options else ""
    if not error.message.startswith("Got unexpected extra"):
        return ""
    word, before = next(iter(words.items()))
    listed = options.get(before)
    if listed is not None and _LIST.search(str(listed.metavar)):
        values = [args[list(args).index(before) + 1], *words]
        return f"Write {before} {','.join(values)}: commas, and no blanks."
    if "--vocab" in options and "--vocab-from" in options:
        given = {arg.partition("=")[0] for arg in args}
        if given.isdisjoint(("--vocab", "--vocab-from")):
            return f"Write --vocab {word}."
    if "--source" in options and Path(word).exists():
        return f"Vectors are named by --source: write --source {word}."
    return ""


def _loose_words(
    args: Sequence[str], command: str | None, options: dict[str, click.Parameter]
) -> dict[str, str]:
    """Return the words that belong to no option, each with the option before it."""
    words: dict[str, str] = {}
    last, takes = "", False
    rest = args[args.index(command) + 1 :] if command in args else args
    for word in rest:
        if word.startswith("-") and word != "-":
            last = word.partition("=")[0]
            flag = getattr(options.get(last), "is_flag", False)
            takes = not flag and "=" not in word
        elif takes:
            takes = False
        else:
            words.setdefault(word, last)
    return words
