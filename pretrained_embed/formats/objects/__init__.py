"""Objects in memory that hold tokens and vectors: formats without a file.

One table, `KINDS`, says which objects are sources, by the names of their classes, and
what reads each. No library is imported to find out, and the code that reads an object
is loaded when there is one. All give a `Reader` over the object's own arrays, which are
not copied where numpy can look at them; as long as the reader is open, nobody else may
change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pretrained_embed.errors import OptionError, brief
from pretrained_embed.formats.format import code
from pretrained_embed.formats.objects.classes import is_a, named

if TYPE_CHECKING:
    from pretrained_embed.formats.objects.held import Held


@dataclass(frozen=True)
class Kind:
    """A kind of object: how it is told, and what reads it.

    ``classes`` are names as `is_a` has them; ``told_by``, and ``reader``, a function
    from the object and its name to a `Held`, are ``"module:function"`` of this room.
    """

    title: str  # for the table in the documentation
    reads: str  # likewise
    reader: str
    classes: tuple[str, ...] = ()
    told_by: str = ""

    def fits(self, value: object) -> bool:
        """Tell whether an object is of this kind."""
        if self.classes and is_a(value, *self.classes):
            return True
        return bool(self.told_by) and _function(self.told_by)(value)


#: All kinds, in the order in which an object is asked for them.
KINDS = (
    Kind(
        "`EmbeddingMatrix`",
        "its rows, with their ledger",
        "libraries:of_matrix",
        ("pretrained_embed.EmbeddingMatrix",),
    ),
    Kind(
        "`EmbeddingShard`",
        "its rows",
        "libraries:of_shard",
        ("pretrained_embed.EmbeddingShard",),
    ),
    Kind(
        "gensim: `KeyedVectors`, `Word2Vec`, `FastText`, `Doc2Vec`",
        "its words; of FastText subwords, too",
        "libraries:of_gensim",
        ("gensim.KeyedVectors", "gensim.Word2Vec"),
    ),
    Kind(
        "pandas: `DataFrame`",
        "a column of text or the index; columns of numbers or one of lists",
        "frames:of_pandas",
        ("pandas.DataFrame",),
    ),
    Kind(
        "pandas: `Series`",
        "vectors by the tokens of its index",
        "frames:of_series",
        ("pandas.Series",),
    ),
    Kind(
        "pyarrow: `Table`, `RecordBatch`; polars: `DataFrame`; `datasets.Dataset`; "
        "what else has `__arrow_c_stream__`, such as relations of DuckDB",
        "a column of text; columns of numbers or one of lists (needs pyarrow)",
        "frames:of_arrow",
        ("pyarrow.Table", "pyarrow.RecordBatch", "datasets.Dataset"),
        "frames:gives_arrow",
    ),
    Kind(
        "spaCy: `Vocab`, pipelines",
        "vectors by string; floret's compose any token",
        "libraries:of_spacy",
        ("spacy.Vocab", "spacy.Language"),
    ),
    Kind(
        "model2vec: `StaticModel`",
        "its tokens, rows times weights",
        "libraries:of_model2vec",
        ("model2vec.StaticModel",),
    ),
    Kind(
        "sentence-transformers: `StaticEmbedding`, `WordEmbeddings`",
        "its tokens",
        "libraries:of_static",
        (
            "sentence_transformers.StaticEmbedding",
            "sentence_transformers.WordEmbeddings",
        ),
    ),
    Kind(
        "sentence-transformers: `SentenceTransformer` that begins with one of these",
        "its tokens",
        "libraries:of_sentence_transformer",
        ("sentence_transformers.SentenceTransformer",),
    ),
    Kind(
        "`{token: vector}`, any mapping",
        "vectors are arrays, tensors or lists",
        "python:of_mapping",
        told_by="python:is_mapping",
    ),
    Kind(
        "`(tokens, vectors)`, a tuple. Tokens: a list, an array, a column, a "
        "`Vocabulary`, a tokenizer or whatever `Vocabulary.of` takes. Vectors: an "
        "array or a tensor (numpy, PyTorch, JAX, TensorFlow), an embedding layer "
        "(PyTorch, Keras, Flax, Equinox), a model of transformers (its input "
        "embedding), a list of rows",
        "row *i* is that of token *i*",
        "python:of_pair",
        told_by="python:is_pair",
    ),
)


def find(value: object) -> Kind | None:
    """Return the kind of an object, ``None`` where it is no source in memory."""
    return next((kind for kind in KINDS if kind.fits(value)), None)


def open_object(value: object) -> Held:
    """Open an object in memory. Its reader reads the arrays that it has.

    Raises `OptionError` for one that is no source, with what would do; `FormatError`
    where tokens and vectors do not fit each other, `RowError` later for malformed rows,
    and `VocabularyError` for tokens that are none.
    """
    kind = find(value)
    if kind is None:
        raise no_source(value)
    return cast("Held", _function(kind.reader)(value, name_of(value)))


def name_of(value: object) -> str:
    """Return what to call an object in messages and in the provenance."""
    if isinstance(value, tuple):
        return f"({', '.join(map(named, value))}) in memory"
    return f"{named(value)} in memory"


def no_source(value: object) -> OptionError:
    """Return the error for an object that is no source, with what would do."""
    return OptionError(
        f"a source is a name, a URL, a path, an open binary file, or an object that "
        f"holds tokens and vectors, not {_remedy(value)}"
    )


def _remedy(value: Any) -> str:
    from pretrained_embed.formats.objects.tokens import holds_tokens
    from pretrained_embed.formats.objects.vectors import is_layer

    what = f"{named(value)} ({brief(value)})"
    if is_layer(value):
        return (
            f"{named(value)}, which has no tokens: give (tokens, layer), where tokens "
            "are a list, a pe.Vocabulary or a tokenizer"
        )
    if is_a(value, "polars.LazyFrame"):
        return "a polars.LazyFrame: give frame.collect()"
    if isinstance(value, list | tuple):
        return (
            f"{what}. Each element of a list is a source by itself; tokens and their "
            "vectors are given as a tuple, (tokens, array), array being (rows, dim)"
        )
    if len(getattr(value, "shape", ())) == 2:
        return (
            f"{named(value)}, an array without tokens: give (tokens, array), where "
            "tokens are a list, a pe.Vocabulary or a tokenizer"
        )
    if holds_tokens(value):
        return (
            f"{named(value)}, which has tokens and no vectors: give (tokens, vectors), "
            "where vectors are an array, a layer or a model"
        )
    return (
        f"{what}. Give {{token: vector}} or (tokens, array) of what it holds; the "
        "documentation lists the objects that are read as they are"
    )


def table_of_kinds() -> str:
    """Return the table of kinds as Markdown, for the documentation."""
    lines = ["| object | what is read |", "| --- | --- |"]
    lines += [f"| {kind.title} | {kind.reads} |" for kind in KINDS]
    return "\n".join(lines)


def _function(path: str) -> Any:
    return code(f"{__name__}.{path}")
