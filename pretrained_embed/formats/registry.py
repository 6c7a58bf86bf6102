"""The table of formats, and functions that open files by it.

Other packages add formats by entry points: see `plugins`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import cast

import numpy as np

from pretrained_embed.arrays import joined
from pretrained_embed.bits import DTYPES, FLOATS, MATRIX
from pretrained_embed.errors import (
    BY_COPY,
    FormatError,
    OptionError,
    SourceError,
    UnknownFormatError,
    left_out,
)
from pretrained_embed.formats import marks
from pretrained_embed.formats.format import FetchFolder, Format, Listing, code
from pretrained_embed.formats.known_layout import AnyLayout, parse_layout
from pretrained_embed.formats.reader import HEAD_SIZE, ByteStream, Reader
from pretrained_embed.formats.table import Span, Table, TablePart

_OURS = "pretrained_embed.formats"
_FLOAT32 = FLOATS[:1]
_TOKENS = tuple("{stem}" + end for end in marks.TOKEN_LISTS)
_TOKENIZER = (marks.CONFIG, *marks.TOKENIZER_FILES)
#: Endings of compressed files, and files about a repository.
_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst)$")
_ABOUT = re.compile(
    r"(?:.*/)?(?:readme|licen[cs]e|notice|requirements|vocab|merges|special_tokens)"
    r"[^/]*|(?:.*/)?\..*",
    re.IGNORECASE,
)

#: All formats of this package. Files and folders are asked for them in this order. Text
#: comes before word2vec binary, whose header it shares, and behind floret, whose rows
#: are text, JSON and CSV; the others have marks of their own.
FORMATS = (
    Format(
        "npz",
        "NumPy `.npz`, ours or one matrix and one array of strings",
        f"{_OURS}.npz.reader:open_reader",
        "yes, mapped",
        marks.npz,
        sink=f"{_OURS}.npz.sink:open_sink",
        suffixes=(".npz",),
        dtypes=DTYPES,
        holds="table",
        needs="count",
        mapped=True,
        endings=(".npz",),
    ),
    Format(
        "pickle",
        "pickles of plain things: a dictionary from token to array, tokens and a "
        "matrix; `.npy` files of such; not run, protocols 2 to 5",
        f"{_OURS}.pickles.reader:open_reader",
        "yes, or `FILE#NAME`",
        marks.pickled,
        layout=("rows",),
        fragments=True,
        lies_in="files",
    ),
    Format(
        "npy",
        "NumPy `.npy`, ours or with a list of tokens beside it (text, JSON, Parquet)",
        f"{_OURS}.npy.reader:open_reader",
        "yes, mapped",
        marks.npy,
        layout=("rows",),
        sink=f"{_OURS}.npy.sink:open_sink",
        suffixes=(".npy",),
        dtypes=MATRIX,
        holds="table",
        lies_in="files",
        needs="count",
        mapped=True,
        endings=(".npy",),
        beside=_TOKENS,
    ),
    Format(
        "keras",
        "models of Keras, `.keras` with the `StringLookup` or `TextVectorization` that "
        "feeds the layer; `.weights.h5`, shards of it, `.h5` of before, with tokens "
        "beside them",
        f"{_OURS}.keras_model:open_reader",
        "its embedding, or `FILE#LAYER`",
        marks.keras,
        layout=("rows",),
        fragments=True,
        lies_in="files",
        endings=(".keras", ".h5"),
        beside=_TOKENS,
    ),
    Format(
        "hdf5",
        "HDF5, ours, one matrix and one data set of strings, or a pandas frame such as "
        "Numberbatch's `mini.h5`",
        f"{_OURS}.hdf5.reader:open_reader",
        "yes, mapped",
        marks.hdf5,
        sink=f"{_OURS}.hdf5.sink:open_sink",
        suffixes=(".h5", ".hdf5"),
        dtypes=DTYPES,
        holds="table",
        mapped=True,
        endings=(".h5", ".hdf5"),
    ),
    Format(
        "safetensors",
        "safetensors, ours or with its tokenizer's files beside it",
        f"{_OURS}.safetensors.reader:open_reader",
        "yes, mapped",
        marks.safetensors,
        layout=("rows",),
        fragments=True,
        sink=f"{_OURS}.safetensors.sink:open_sink",
        suffixes=(".safetensors",),
        dtypes=DTYPES,
        holds="table",
        lies_in="files",
        needs="all",
        mapped=True,
        endings=(".safetensors",),
        beside=("{stem}.rows.safetensors", *_TOKENIZER, *_TOKENS),
    ),
    Format(
        "torch",
        "PyTorch's `.pt`, `.pth`, `.bin`, old and new: a tensor, a state dict, a "
        "checkpoint, a whole module, torchtext's cache; tokens in it or beside it",
        f"{_OURS}.torch_file:open_reader",
        "its embedding, or `FILE#NAME`, mapped",
        marks.torch,
        layout=("rows",),
        fragments=True,
        lies_in="files",
        endings=(".pt", ".pth", ".bin"),
        beside=(*_TOKENIZER, *_TOKENS),
    ),
    Format(
        "gguf",
        "GGUF models of llama.cpp, `token_embd.weight` with its tokens; quantised ones "
        "need `pretrained-embed[gguf]`",
        f"{_OURS}.gguf:open_reader",
        "its embedding, or `FILE#NAME`, mapped",
        marks.gguf,
        fragments=True,
        endings=(".gguf",),
    ),
    Format(
        "fasttext",
        "fastText `.bin` and quantised `.ftz`: cbow, skipgram, supervised, pruned, old "
        "ones without a version number; floret's `.bin`",
        f"{_OURS}.fasttext.reader:open_reader",
        "only the wanted rows",
        marks.fasttext,
        holds="subwords",
        endings=(".bin", ".ftz"),
    ),
    Format(
        "gensim",
        "gensim's own `.kv` and `.model`: KeyedVectors, Word2Vec, FastText, Doc2Vec "
        "(its words); gensim 1 to 4; whatever else hangs on the model is not run",
        f"{_OURS}.gensim.reader:open_reader",
        "yes, mapped",
        marks.gensim,
        sink=f"{_OURS}.gensim.sink:open_sink",
        suffixes=(".kv",),
        holds="subwords",
        lies_in="files",
        endings=(".kv", ".model"),
        beside=("{name}.*",),
    ),
    Format(
        "finalfusion",
        "finalfusion `.fifu`: all vocabularies but floret's, arrays and quantised ones",
        f"{_OURS}.finalfusion.reader:open_reader",
        "yes, mapped",
        marks.finalfusion,
        holds="subwords",
        endings=(".fifu",),
    ),
    Format(
        "magnitude",
        "Magnitude `.magnitude` (SQLite)",
        f"{_OURS}.magnitude:open_reader",
        sniff=marks.magnitude,
        endings=(".magnitude",),
    ),
    Format(
        "parquet",
        "Parquet: a column of tokens, and lists or a column for each number",
        f"{_OURS}.arrow.reader:open_parquet",
        "only row groups with wanted rows",
        marks.parquet,
        layout=("token", "vector"),
        fragments=True,
        sink=f"{_OURS}.arrow.sink:open_parquet",
        suffixes=(".parquet",),
        dtypes=DTYPES,
        holds="table",
        needs="all",
        endings=(".parquet",),
    ),
    Format(
        "arrow",
        "Arrow IPC, files (Feather) and streams: the same columns",
        f"{_OURS}.arrow.reader:open_ipc",
        "only batches with wanted rows",
        marks.arrow,
        layout=("token", "vector"),
        fragments=True,
        sink=f"{_OURS}.arrow.sink:open_ipc",
        suffixes=(".arrow", ".feather"),
        dtypes=DTYPES,
        holds="table",
        needs="all",
        endings=(".arrow", ".feather"),
    ),
    Format(
        "floret",
        "floret tables, `.floret`",
        f"{_OURS}.floret:open_reader",
        "every token composed",
        marks.floret,
        holds="subwords",
        endings=(".floret",),
    ),
    Format(
        "json",
        "JSON: an object of token to list, a list of objects, an object a line",
        f"{_OURS}.records.json:open_reader",
        sniff=marks.json,
        layout=("token", "vector"),
        fragments=True,
    ),
    Format(
        "csv",
        "CSV, in quotes or not, with commas, semicolons or tabs; a header is found out",
        f"{_OURS}.records.csv:open_reader",
        sniff=marks.csv,
        layout=("dim", "header", "separator", "token", "vector"),
        fragments=True,
    ),
    Format(
        "text",
        "text: GloVe, word2vec, fastText `.vec`, tab-separated, Numberbatch, "
        "wikipedia2vec; header or none is found out",
        f"{_OURS}.text.reader:open_text",
        "yes, by several threads",
        layout=("dim", "header", "separator"),
        endings=(".txt", ".vec", ".zip"),
    ),
    Format(
        "word2vec",
        "text with word2vec's header",
        reads="as text",
        sink=f"{_OURS}.text.sink:open_sink",
        suffixes=(".txt", ".vec"),
        dtypes=_FLOAT32,
        needs="count",
    ),
    Format(
        "glove",
        "text without a header",
        reads="as text",
        sink=f"{_OURS}.text.sink:open_sink",
        dtypes=_FLOAT32,
    ),
    Format(
        "word2vec-binary",
        "word2vec binary, with or without line ends after the vectors; single "
        "precision, doubles, halves and big-endian numbers are found out; so is where "
        "a token ends that holds a blank, or its row is named in an error",
        f"{_OURS}.word2vec.reader:open_binary",
        sink=f"{_OURS}.word2vec.sink:open_sink",
        suffixes=(".bin",),
        dtypes=_FLOAT32,
        needs="count",
    ),
    Format(
        "sharded",
        "folders of our shards, see [what is larger than memory](../how-to/large.md)",
        f"{_OURS}.sharded.reader:open_folder",
        "yes, only the rows asked for",
        sniff_folder=marks.sharded,
        part=f"{_OURS}.sharded.reader:read_part",
        sink=f"{_OURS}.sharded.sink:open_sink",
        dtypes=MATRIX,
        holds="table",
        lies_in="folder",
        needs="all",
    ),
    Format(
        "keras-folder",
        "folders of Keras, saved with `zipped=False`",
        f"{_OURS}.keras_model:open_reader",
        "its embedding, or `FOLDER#LAYER`",
        sniff_folder=marks.keras_folder,
        layout=("rows",),
        fragments=True,
        lies_in="folder",
    ),
    Format(
        "hugging-face",
        "folders of Hugging Face models, safetensors or `pytorch_model.bin`, in one "
        "file or several: BERT, GPT-2, Llama, T5, ...; model2vec, "
        "sentence-transformers' `StaticEmbedding` and `WordEmbeddings`",
        f"{_OURS}.hugging_face.reader:open_reader",
        "the input embedding, mapped",
        sniff_folder=marks.hugging_face,
        fragments=True,
        lies_in="folder",
        fetch=f"{_OURS}.hugging_face.model_folder:fetch",
    ),
    Format(
        "sentence-transformers",
        "a `StaticEmbedding` of sentence-transformers",
        reads="as a Hugging Face model",
        sink=f"{_OURS}.hugging_face.sink:open_sink",
        dtypes=(*FLOATS, "bfloat16"),
        holds="table",
        lies_in="folder",
    ),
    Format(
        "spacy-vectors",
        "folders of spaCy pipelines (`en_core_web_md` and the like), default and "
        "floret mode",
        f"{_OURS}.spacy.reader:open_reader",
        "yes, mapped",
        sniff_folder=marks.spacy,
        holds="subwords",
        lies_in="folder",
        fetch=f"{_OURS}.spacy.reader:fetch",
    ),
    Format(
        "projector",
        "TensorBoard's Embedding Projector",
        reads="its `vectors.tsv`, as text",
        sink=f"{_OURS}.projector:open_sink",
        dtypes=_FLOAT32,
        lies_in="folder",
    ),
)

_BY_NAME = {format.name: format for format in FORMATS}


def known_formats() -> tuple[Format, ...]:
    """Return all formats: those of this package, then those of installed plug-ins.

    Plug-ins that cannot be used are left out.

    Returns
    -------
    tuple of Format
        The formats.

    Examples
    --------
    >>> known_formats()[0].name
    'npz'
    """
    from pretrained_embed.formats import plugins

    return FORMATS + plugins.load(_BY_NAME).formats


def find_format(name: str) -> Format | None:
    """Return the format of a name.

    Parameters
    ----------
    name : str
        The name, such as "npz".

    Returns
    -------
    Format or None
        ``None`` for an unknown name.

    Examples
    --------
    >>> find_format("npz").suffixes
    ('.npz',)
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    return next((each for each in known_formats() if each.name == name), None)


def table_of_formats(formats: tuple[Format, ...] = FORMATS) -> str:
    """Return a table of formats as Markdown, which the documentation contains.

    Parameters
    ----------
    formats : sequence of Format
        The formats.

    Returns
    -------
    str
        The table.

    Examples
    --------
    >>> print(table_of_formats(FORMATS[:1]))  # doctest: +ELLIPSIS
    | format | name | read | written as | holds |
    | --- | --- | --- | --- | --- |
    | NumPy `.npz`, ours or ... | `npz` | yes, mapped | `.npz` | all of a matrix |
    """
    held = {"rows": "rows", "subwords": "rows, subwords", "table": "all of a matrix"}
    lines = [
        "| format | name | read | written as | holds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in formats:
        written = ""
        if each.sink:
            written = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
            written = written or f"`{each.name}`"
        cells = (each.title, f"`{each.name}`", each.reads, written, held[each.holds])
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n".join(lines)


def open_reader(stream: ByteStream, layout: AnyLayout = None) -> Reader:
    """Open a file or a folder of vectors; its content tells the format.

    Parameters
    ----------
    stream : ByteStream
        The file or folder.
    layout : KnownLayout, optional
        The known facts about its layout.

    Returns
    -------
    Reader
        The open file.

    Raises
    ------
    UnknownFormatError
        If no format recognises it.
    FormatError
        If it is damaged or does not fit ``layout``.
    SourceError
        If it cannot be read.
    OptionError
        For a layout that the format does not use.

    Examples
    --------
    >>> open_reader(stream).format  # doctest: +SKIP
    'text'
    """
    known = parse_layout(layout)
    if stream.parts:
        from pretrained_embed.formats import joined_readers  # most sources are one file

        return joined_readers.open_parts(stream, lambda part: open_reader(part, known))
    is_folder = stream.path is not None and stream.path.is_dir()
    head = b"" if is_folder else stream.head(HEAD_SIZE)
    for format in FORMATS:
        if stream.fragment is not None and not format.fragments:
            continue
        if _may_be(format, head, stream):
            reader = format.open(stream, known)
            if reader is not None:
                return reader
    if stream.fragment is not None:
        raise SourceError(
            f"{stream.name}: is no zip or tar archive, so it has no member "
            f"{stream.fragment!r}"
        )
    from pretrained_embed.formats import plugins

    added = plugins.load(_BY_NAME)
    for format in added.formats:
        with plugins.guarded(format, stream.name):
            fits = _may_be(format, head, stream)
            reader = format.open(stream, known) if fits else None
        if reader is not None:
            return plugins.guarded_reader(reader, format, stream.name)
    from pretrained_embed.formats.unknown import diagnosis, folder_diagnosis

    if is_folder and stream.path is not None:
        what = folder_diagnosis(stream.path)
        what = what or "a folder; name the file of vectors in it"
    else:
        what = diagnosis(head, stream)
    raise UnknownFormatError(f"{stream.name}: {what}{added.told()}")


def is_folder_format(stream: ByteStream) -> bool:
    """Return whether a folder is in a format that is a folder, also of a plug-in.

    A known folder of another program that cannot be read counts too. Any other folder
    may have files of vectors in it.

    Parameters
    ----------
    stream : ByteStream
        The folder.

    Returns
    -------
    bool
        Whether it is one.

    Examples
    --------
    >>> is_folder_format(stream)  # doctest: +SKIP
    False
    """
    if any(_may_be(format, b"", stream) for format in FORMATS):
        return True
    from pretrained_embed.formats import plugins

    for format in plugins.load(_BY_NAME).formats:
        with plugins.guarded(format, stream.name):
            if _may_be(format, b"", stream):
                return True
    from pretrained_embed.formats.unknown import folder_diagnosis

    return stream.path is not None and folder_diagnosis(stream.path) is not None


def fetch_folder(listing: Listing) -> Path | None:
    """Fetch the files of a folder that a reader needs; ``None`` if unknown."""
    for format in FORMATS:
        if format.fetch:
            folder = cast(FetchFolder, code(format.fetch))(listing)
            if folder is not None:
                return folder
    return None


def files_of_vectors(names: Sequence[str]) -> list[str]:
    """Return the names of files that have vectors, judging by the names.

    Arrays that belong to one of them, such as ``w.kv.vectors.npy`` to ``w.kv``, are
    left out.
    """
    endings = tuple({ending for format in FORMATS for ending in format.endings})
    held = [
        name
        for name in names
        if _PACKED.sub("", name).endswith(endings) and not _ABOUT.fullmatch(name)
    ]
    return [n for n in held if not any(n.startswith(f"{other}.") for other in held)]


def fetch_file(listing: Listing, name: str) -> Path:
    """Fetch a file, and the files that its reader looks for beside it."""
    for other in _beside(name, listing.names):
        listing.get(other)
    return listing.get(name)


def _beside(name: str, names: Sequence[str]) -> list[str]:
    """Return the names that a reader of a file looks for beside it."""
    folder, slash, own = name.rpartition("/")
    stem = escape(own.rpartition(".")[0])
    patterns = [
        f"{escape(folder)}{slash}{pattern.format(name=escape(own), stem=stem)}"
        for format in FORMATS
        if own.endswith(format.endings)
        for pattern in format.beside
    ]
    return [
        other
        for other in names
        if other != name and any(fnmatchcase(other, pattern) for pattern in patterns)
    ]


def _may_be(format: Format, head: bytes, stream: ByteStream) -> bool:
    """Return whether a file or a folder may have a format: see `Format.open`."""
    path = stream.path
    is_folder = path is not None and path.is_dir()
    if not format.reader or (format.lies_in == "folder") != is_folder:
        return False
    if format.sniff_folder is not None:
        return path is not None and format.sniff_folder(path)
    return format.sniff is None or format.sniff(head, stream)


def read_table(stream: ByteStream) -> Table:
    """Read a whole file.

    Parameters
    ----------
    stream : ByteStream
        The file.

    Returns
    -------
    Table
        All rows; arrays and metadata are empty in formats without them.

    Raises
    ------
    FormatError
        As `open_reader`; for malformed rows; and for a file without rows.

    Examples
    --------
    >>> read_table(stream).vectors.shape  # doctest: +SKIP
    (400000, 50)
    """
    with open_reader(stream) as reader:
        return table_of(reader)


@left_out(BY_COPY)
def table_of(reader: Reader) -> Table:
    """Return all rows of an open reader, as `read_table` does.

    Parameters
    ----------
    reader : Reader
        The open file.

    Returns
    -------
    Table
        All rows.

    Raises
    ------
    FormatError
        For malformed rows, and for a file without rows.

    Examples
    --------
    >>> table_of(reader).tokens[:2]  # doctest: +SKIP
    """
    if (table := reader.table()) is not None:
        return table
    tokens, vectors = [], []
    for block in reader.packed_blocks():
        tokens.append(block.tokens)
        vectors.append(block.vectors)
    if not vectors:
        raise FormatError(f"{reader.name}: no rows")
    return Table(joined(tokens), np.concatenate(vectors), {}, {})


def read_part(stream: ByteStream, span: Span) -> TablePart:
    """Read consecutive rows of a table.

    Vectors stay mapped if they lie in one file as they are needed.

    Parameters
    ----------
    stream : ByteStream
        The file or folder.
    span : callable
        Takes the number of rows and returns the wanted range.

    Returns
    -------
    TablePart
        The rows.

    Raises
    ------
    OptionError
        For a format that is read from front to back.
    FormatError
        As `open_reader`.

    Examples
    --------
    >>> read_part(stream, lambda rows: range(rows // 2))  # doctest: +SKIP
    """
    for format in FORMATS:
        if format.part and _may_be(format, b"", stream):
            part = format.part_of(stream, span)
            if part is not None:
                return part
    with open_reader(stream) as reader:
        part = reader.rows_in(span)
        if part is None:
            raise OptionError(
                f"{stream.name}: {reader.format} is read from front to back, so no "
                "part of it can be had alone; convert it to .npz, .h5 or .safetensors"
            )
        return part
