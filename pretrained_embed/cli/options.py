"""Options that several commands share, and types of values.

`value_options` turns several options into one value, such as a `Library`.
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

import pretrained_embed as pe
from pretrained_embed.cli.output import tell
from pretrained_embed.errors import brief

Command = TypeVar("Command", bound=Callable[..., Any])

# The choices of options, as the public names on the right have them. They need numpy,
# for which the Tab key must not wait. A test compares both.

#: `Recipe.choices()`
CHOICES = {
    "match": (
        *("exact", "lower", "title", "upper", "nfc", "nfkc", "strip-accents"),
        *("digits-hash", "digits-zero", "quotes", "joined", "compound", "unmarked"),
        *("conceptnet", "lemma", "stem"),
    ),
    "oov": (
        *("zeros", "normal", "uniform", "mean", "error"),
        *("subword", "parts", "ngram"),
    ),
    "combine": ("fill", "concat", "average"),
    "postprocess": ("unit-norm", "center", "all-but-the-top", "pca", "truncate"),
    "dtype": ("float32", "float16", "bfloat16", "int8", "int4", "binary"),
}

#: `Vocabulary.KINDS`
KINDS = (
    *("text", "counts", "json", "bert", "tokenizer", "sentencepiece"),
    *("spacy", "gensim", "fasttext", "report", "numbers", "saved"),
)

#: `EmbeddingMatrix.PROJECTIONS`
PROJECTIONS = ("pca", "tsne", "umap")

#: `EmbeddingMatrix.PICTURE_SUFFIXES`
PICTURE_SUFFIXES = (".png", ".svg", ".pdf")

#: `Coverage.REPORT_SUFFIXES`
REPORT_SUFFIXES = (".md", ".json", ".csv")

#: `formats.WRITABLE_FORMATS`
WRITABLE_FORMATS = (
    *("npz", "npy", "hdf5", "safetensors", "gensim", "parquet", "arrow", "word2vec"),
    *("glove", "word2vec-binary", "sharded", "sentence-transformers", "projector"),
)

#: `formats.plugins.GROUP`
PLUGINS = "pretrained_embed.formats"

#: `formats.WRITABLE_SUFFIXES`
WRITABLE_SUFFIXES = (
    *(".npz", ".npy", ".h5", ".hdf5", ".safetensors", ".kv"),
    *(".parquet", ".arrow", ".feather", ".txt", ".vec", ".bin"),
)

#: `formats.TARGET_SUFFIXES`
TARGET_SUFFIXES = (".npz", ".npy", ".h5", ".hdf5", ".safetensors")


def value_options(
    name: str, make: Callable[..., Any], table: Mapping[str, Callable[..., Any]]
) -> Callable[..., Callable[[Command], Command]]:
    """Return a decorator that turns options into one value, called ``name``.

    ``table`` has the option for each field that ``make`` takes. The decorator takes the
    names of the fields that a command has; without names it has all of them.
    """

    def chosen(*fields: str) -> Callable[[Command], Command]:
        wanted = [field for field in table if not fields or field in fields]

        def added(command: Command) -> Command:
            @wraps(command)
            def run(*args: Any, **given: Any) -> Any:
                values = {field: given.pop(field) for field in wanted}
                return command(*args, **{name: make(**values)}, **given)

            made: Any = run
            for field in reversed(wanted):  # the help shows them in reverse order
                made = table[field](made)
            result: Command = made
            return result

        return added

    return chosen


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean ...?"`` for an unknown word that is close, or ``""``."""
    near = difflib.get_close_matches(given.lower(), list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def as_token(word: str) -> str:
    """Return a token as files have it, in UTF-8, whatever the locale is.

    Characters of the command line that a locale such as ``C`` lacks come as bytes.
    """
    try:
        return os.fsencode(word).decode("utf-8")
    except UnicodeError:  # it is in the encoding of the locale
        return word


def one_of(
    words: Sequence[str], more: Callable[[], Sequence[str]] | None = None
) -> dict[str, Any]:
    """Return a callback that lets an option take one of the words.

    ``more`` returns all words, and is called for a word that is not among ``words``.
    """

    def check(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        if value is not None and value not in words:
            _check_word(value, words if more is None else more())
        return value

    complete = completing(lambda: words if more is None else more())
    return {"metavar": f"[{'|'.join(words)}]", "callback": check, **complete}


def completing(
    words: Callable[[], Iterable[str]], *, several: bool = False, files: bool = False
) -> dict[str, Any]:
    """Return the completion of an option or argument for shells.

    With ``several``, words may be separated by commas; with ``files``, paths are
    completed too.
    """

    def complete(
        _: click.Context, __: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, begun = incomplete.rpartition(",") if several else ("", "", "")
        begun = begun if several else incomplete
        items = [
            CompletionItem(before + comma + word)
            for word in words()
            if word.startswith(begun)
        ]
        return items + [CompletionItem(incomplete, type="file")] * files

    return {"shell_complete": complete}


def _names() -> Iterator[str]:
    from pretrained_embed.library import catalog

    for entry in catalog.load().entries():
        if entry.is_template:
            yield from (entry.for_language(code).id for code in entry.languages)
        else:
            yield entry.id


def source_words(given: str) -> str:
    """Return a name or a path unchanged, and a URL without secrets."""
    from pretrained_embed.sources.url import url_or_words

    return url_or_words(given)


#: The parameter type of sources: a name, a URL or a file.
source: dict[str, Any] = {"type": source_words, **completing(_names, files=True)}


def _check_word(word: str, words: Sequence[str]) -> None:
    if word not in words:
        near = suggestion(word, words)
        raise click.BadParameter(
            f"{brief(word)} is not one of {', '.join(words)}{near}"
        )


projection = click.option(
    "--projection",
    **one_of(PROJECTIONS),
    default="pca",
    show_default=True,
    help="How points are placed: pca; tsne needs scikit-learn, umap needs umap-learn.",
)

projection_seed = click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed for tsne and umap."
)

sources = click.option(
    "--source",
    **source,
    metavar="SOURCE",
    multiple=True,
    default=(pe.DEFAULT_SOURCE,),
    show_default=True,
    help="The vectors: a name that 'list' shows, a URL, a path, archive.zip#member, a "
    "folder of parts or a pattern of their names in quotes ('part-*.txt'), or - for "
    "standard input. An https:// URL and files of hf:// are downloaded once and "
    "kept; s3://, gs:// and remote+https:// are read where they are. Of several, each "
    "is named.",
)

_LAYOUT_HELP = (
    "The layout of the file, where it cannot be found out: "
    "dim=300,header=yes,separator=tab,rows=1000 or some of these."
)

layout = click.option("--layout", metavar="NAME=VALUE,...", help=_LAYOUT_HELP)

layouts = click.option(
    "--layout",
    "layout",
    multiple=True,
    metavar="NAME=VALUE,...",
    callback=lambda _, __, given: given[0] if len(given) == 1 else given or None,
    help=f"{_LAYOUT_HELP} Once for all sources, or once for each.",
)

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON to standard output."
)


def _hushed(_: click.Context, __: click.Parameter, value: bool) -> bool:
    if value:
        from pretrained_embed.kernel.choice import SlowKernelWarning

        warnings.simplefilter("ignore", SlowKernelWarning)
    return value


quiet = click.option(
    "--quiet",
    "-q",
    is_flag=True,
    callback=_hushed,
    is_eager=True,  # so that other options see it
    help="Print nothing to standard error but errors.",
)


def _remarked(context: click.Context, _: click.Parameter, value: Path | None) -> Any:
    """Print once the remarks on the cache that is used."""
    if not context.params.get("quiet") and not context.resilient_parsing:
        for remark in pe.Library(value).cache.remarks():
            tell(f"Note: {remark}.")
    return value


#: The options for where vectors come from, by the field of `Library` that each sets.
library_options = value_options(
    "library",
    lambda **given: pe.Library(**given),
    {
        "cache_dir": click.option(
            "--cache-dir",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            callback=_remarked,
            help="The cache. Default: the folder that PRETRAINED_EMBED_CACHE names; "
            "else cache beside this package, if that is a checkout; else your own "
            "cache folder.",
        ),
        "offline": click.option(
            "--offline",
            is_flag=True,
            default=None,
            help="Never use the network, not for s3:// and the like either. The "
            "same as PRETRAINED_EMBED_OFFLINE=1.",
        ),
        "catalog": click.option(
            "--catalog",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A catalog of your own, merged into ours. Default: the one that "
            "PRETRAINED_EMBED_CATALOG names.",
        ),
        "stores": click.option(
            "--no-store",
            "stores",
            is_flag=True,
            flag_value=False,
            default=True,
            help="Read the source itself; use no store in the cache, and make none.",
        ),
        "mmap": click.option(
            "--no-mmap",
            "mmap",
            is_flag=True,
            flag_value=False,
            default=True,
            help="Read files into memory instead of mapping them: for files that "
            "another program may cut short meanwhile, which would end this one "
            "(SIGBUS).",
        ),
    },
)
