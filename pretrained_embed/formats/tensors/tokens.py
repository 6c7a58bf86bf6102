"""The tokens of a table's rows, from a file that lies beside it.

Either a list of tokens alone, of which token ``i`` belongs to row ``i``:

- Text: one token a line. A line ends at LF and nowhere else; one CR before it goes.
- Parquet: the only column of strings, or the one with a name that says token.
- JSON: a list of tokens, an object of token to row, or a Hugging Face
  ``tokenizer.json``.

Or the files of a model's tokenizer, the first that there is:

- ``tokenizer.json``, which has all tokens: ``{"model": {"vocab": ...}, "added_tokens":
  [{"id": ID, "content": TOKEN}, ...]}``, the vocab an object from token to id, or
  ``[token, score]`` pairs in the order of ids (Unigram);
- ``vocab.json``, an object from token to id;
- ``vocab.txt``, one token a line in the order of ids;
- ``whitespacetokenizer_config.json`` of sentence-transformers: ``"vocab"`` is a list.

To the last three belong ``added_tokens.json``, an object from token to id, and
``"added_tokens_decoder"`` of ``tokenizer_config.json``. Tokens are given as they are
spelled there, with the marks of their tokenizer: ``##ing``, ``▁the``, ``Ġthe``. Tables
are often wider than their tokenizer, padded to a multiple of 64 or so; rows that no
token has are holes.

https://huggingface.co/docs/tokenizers
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.budget import ReadOptions
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, OptionError, SourceError, brief
from pretrained_embed.files.reading import is_file
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.local import json_object
from pretrained_embed.formats.marks import (
    ADDED_TOKENS,
    CONFIG,
    TOKEN_LISTS,
    TOKENIZER_CONFIG,
    TOKENIZERS,
)
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import HOLES, Rows
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.tensors.embedding import EmbeddingTensor

#: How many rows are looked at at a time.
_BLOCK = 1 << 14


_ENCODER = "text_encoder"


def find_file(folder: Path) -> Path | None:
    """Return the file of a folder that has the tokens, if there is one."""
    folders = [folder]
    if folder.name.startswith(_ENCODER):  # of a pipeline of diffusers
        folders.append(folder.parent / folder.name.replace(_ENCODER, "tokenizer"))
    paths = (folder / name for folder in folders for name in TOKENIZERS)
    return next((path for path in paths if path.is_file()), None)


def tokens_beside(
    format: str,
    stream: ByteStream,
    embedding: EmbeddingTensor,
    layout: KnownLayout | None,
) -> TableReader:
    """Return a reader of a table whose tokens are in a file that lies beside it.

    That is the file that the source names, else one with the name of the table's, as
    of ``vectors.pt`` ``vectors.tokens``, else one of `TOKENIZERS`. Raises `FormatError`
    where there is none, and where tokens and rows do not belong together.
    """
    path = stream.tokens_path
    stem = Path(stream.name).stem if stream.path is None else stream.path.stem
    siblings = [stem + suffix for suffix in TOKEN_LISTS]
    if stem.endswith(".weights"):  # of Keras, whose .weights.json names shards
        siblings.remove(f"{stem}.json")
    if path is None and stream.path is not None:
        folder = stream.path.parent
        if not any((folder / sibling).is_file() for sibling in siblings):
            path = find_file(folder)
            if path is not None:
                return model_reader(
                    format, stream, embedding, path, bare=True, layout=layout
                )
    path = find_tokens(stream, siblings)
    read = read_tokens(path, stream.read_options)
    tokens, holes, notes = fitted(read, path, embedding.rows, stream, layout)
    return TableReader(
        format,
        stream.name,
        tokens,
        embedding.rows,
        arrays=holes,
        notes=[*embedding.notes, *notes],
    )


def model_reader(
    format: str,
    stream: ByteStream,
    embedding: EmbeddingTensor,
    path: Path,
    *,
    bare: bool = False,
    layout: KnownLayout | None = None,
) -> TableReader:
    """Return a reader of a model's rows, whose tokens are in one of `TOKENIZERS`.

    A ``bare`` file of tensors may have lain beside another model's tokens: rows behind
    the last token's have to be padding, see `padding`. Raises `FormatError` where they
    are not, where the file of tokens is damaged, or has tokens beyond the rows.
    """
    name, rows = stream.name, embedding.rows.shape[0]
    ids, spelled = _ids(path, stream.read_options)
    _check_ids(ids, spelled, path, name, rows)
    last = np.full(rows, -1)  # place of the token that a row has, of several the last
    last[ids] = np.arange(len(ids))
    hole = last < 0
    tokens = [spelled[place] for place in last[~hole].tolist()]
    try:
        packed = PackedTokens.pack(tokens)
    except UnicodeEncodeError as error:
        halved = error.object[: error.end].rpartition("\n")[2]
        raise FormatError(
            f"{path}: token {brief(halved)} is half a character, or has one"
        ) from error
    ends = np.zeros(rows + 1, np.int64)
    ends[1:][~hole] = np.diff(packed.offsets)
    packed = PackedTokens(packed.data, np.cumsum(ends))
    notes = [*embedding.notes, Note("tokens.from", f"tokens from {path.name}")]
    if bare:
        count = int(np.flatnonzero(~hole)[-1]) + 1 if not hole.all() else 0
        declared = _declared_rows(path.parent)
        notes += padding(count, path, embedding.rows, name, layout, declared)
    if replaced := _replaced(ids, spelled) if len(ids) > len(tokens) else 0:
        what = f"{replaced:,} tokens gave their rows to added ones"
        notes.append(Note("tokens.replaced", what))
    return TableReader(
        format,
        name,
        packed,
        embedding.rows,
        arrays={HOLES: np.flatnonzero(hole)} if hole.any() else {},
        notes=notes,
    )


def _declared_rows(folder: Path) -> int | None:
    """Return how many rows the config of a model gives its table, if it does."""
    path = folder / CONFIG
    config = json_object(path) if path.is_file() else {}
    parts = (config, config.get("text_config"))
    sizes = [part.get("vocab_size") for part in parts if isinstance(part, dict)]
    return next((size for size in sizes if type(size) is int), None)


def _check_ids(
    ids: list[Any], spelled: list[str], path: Path, name: str, rows: int
) -> None:
    """Raise `FormatError` for the first id that is none of a table's rows."""
    if not ids or ({*map(type, ids)} == {int} and min(ids) >= 0 and max(ids) < rows):
        return
    for id, token in zip(ids, spelled, strict=True):
        if type(id) is not int or id < 0:
            raise FormatError(f"{path}: token {brief(token)} has no id but {brief(id)}")
        if id >= rows:
            raise FormatError(
                f"{path}: token {brief(token)} has id {id:,}, but {name} has {rows:,} "
                "rows; the tokenizer is not that of the model, or the model was not "
                "resized when tokens were added"
            )


def _replaced(ids: list[int], spelled: list[str]) -> int:
    """Return how often a token got the row of another one."""
    held: dict[int, str] = {}
    count = 0
    for id, token in zip(ids, spelled, strict=True):
        count += held.get(id, token) != token
        held[id] = token
    return count


def _ids(path: Path, options: ReadOptions) -> tuple[list[Any], list[str]]:
    """Return ids and their tokens, those that were added last."""
    if path.name == "tokenizer.json":
        known = of_tokenizer(json_object(path), path)
        return [*known.values()], [*known]
    if path.name == "vocab.json":
        known = json_object(path)
        ids, spelled = [*known.values()], [*known]
    else:
        spelled = _listed(path, options)
        ids = [*range(len(spelled))]
    for id, token in _added(path.parent):
        ids.append(id)
        spelled.append(token)
    return ids, spelled


def _listed(path: Path, options: ReadOptions) -> list[str]:
    if path.suffix != ".json":
        return read_tokens(path, options).unpack()
    tokens = json_object(path).get("vocab")
    if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
        raise FormatError(f"{path}: 'vocab' is no list of strings")
    return tokens


def _added(folder: Path) -> Iterator[tuple[Any, str]]:
    """Yield what a tokenizer got after its vocabulary was made."""
    if (folder / ADDED_TOKENS).is_file():
        yield from ((id, t) for t, id in json_object(folder / ADDED_TOKENS).items())
    if (folder / TOKENIZER_CONFIG).is_file():
        path = folder / TOKENIZER_CONFIG
        with refusing_damage(str(path), "cannot read its added_tokens_decoder"):
            decoder = dict(json_object(path).get("added_tokens_decoder", {}))
            added = [(int(id), str(t["content"])) for id, t in decoder.items()]
        yield from added


def find_tokens(stream: ByteStream, siblings: Iterable[str]) -> Path:
    """Return the stream's file of tokens, or the first there is of its siblings.

    Raises `FormatError` that says what to do where there is none.
    """
    if stream.tokens_path is not None:
        return stream.tokens_path
    siblings = list(siblings)
    if stream.path is not None:
        for sibling in siblings:
            candidate = stream.path.with_name(sibling)
            if is_file(candidate):
                return candidate
    raise FormatError(
        f"{stream.name} holds vectors without tokens; put the list of its tokens, one "
        f"a line in the order of the rows, beside it as {siblings[-1]}"
    )


def fitted(
    tokens: PackedTokens,
    path: Path,
    vectors: Rows,
    stream: ByteStream,
    layout: KnownLayout | None,
) -> tuple[PackedTokens, dict[str, AnyArray], list[Note]]:
    """Return a token for each row of a table, its holes, and notes.

    Where the tokens are from is a note, unless who opened the stream said it.

    A table may have rows behind those of its tokens, which become holes: where they
    are zeros, and where ``rows`` of the layout is the number of the tokens. Raises
    `FormatError` where tokens and rows differ else.
    """
    count, rows = len(tokens), vectors.shape[0]
    notes = []
    if path != stream.tokens_path:
        notes.append(Note("tokens.from", f"tokens from {path.name}"))
    notes += padding(count, path, vectors, stream.name, layout)
    if count == rows:
        return tokens, {}, notes
    ends = np.full(rows - count, tokens.offsets[-1])
    padded = PackedTokens(tokens.data, np.concatenate([tokens.offsets, ends]))
    return padded, {HOLES: np.arange(count, rows)}, notes


def padding(
    count: int,
    path: Path,
    vectors: Rows,
    where: str,
    layout: KnownLayout | None,
    declared: int | None = None,
) -> list[Note]:
    """Return what is to be said of rows behind those of ``count`` tokens.

    They are padding where they are zeros, where ``rows`` of the layout is the number of
    the tokens, and where a model's config has ``declared`` all the rows. Raises
    `FormatError` where tokens and rows differ else.
    """
    rows = vectors.shape[0]
    told = None if layout is None else layout.rows
    if told is not None and told != count:
        raise FormatError(
            f"{path} has {count:,} tokens, and the layout says rows={told}; correct it "
            "or leave it out"
        )
    if count == rows:
        return []
    if count < rows and told is not None:
        why = "as the layout says"
    elif count < rows and declared == rows:
        why = "as the model's config says"
    elif count < rows and _zeros(vectors, count):
        why = "which are zeros"
    else:
        more = f'; where the last {rows - count:,} rows are padding, layout="rows='
        remedy = f'{more}{count}" (--layout rows={count}) leaves them out'
        raise FormatError(
            f"{where} has {rows:,} rows, but {path} has {count:,} tokens; the two do "
            f"not belong together{remedy if 0 < count < rows else ''}"
        )
    what = f"no tokens for the last {rows - count:,} rows, {why}"
    return [Note("rows.without-token", what)]


def refuse_layout(layout: KnownLayout | None, where: str, what: str) -> None:
    """Raise `OptionError` for a layout of a file whose tokens are of no list."""
    if layout is not None and layout.rows is not None:
        raise OptionError(
            f"{where}: layout gives rows, but its tokens are those of {what}; leave "
            "rows out"
        )


def _zeros(vectors: Rows, start: int) -> bool:
    """Tell whether all rows from one on are zeros."""
    starts = range(start, vectors.shape[0], _BLOCK)
    return not any(np.any(vectors[at : at + _BLOCK]) for at in starts)


def read_tokens(path: Path, options: ReadOptions) -> PackedTokens:
    """Read all tokens; raises `FormatError`, `SourceError`, `MissingPackageError`."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
            if start == b"PAR1":
                return _read_parquet(path, options)
            raw = start + file.read()
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    return _parse_json(raw, path) if path.suffix == ".json" else _split_lines(raw)


def _split_lines(raw: bytes) -> PackedTokens:
    if raw and not raw.endswith(b"\n"):
        raw += b"\n"
    data = np.frombuffer(raw, np.uint8)
    feeds = np.flatnonzero(data == 0x0A)
    keep = np.ones(len(data), np.bool_)
    keep[feeds] = False
    returns = feeds[feeds > 0] - 1
    keep[returns[data[returns] == 0x0D]] = False
    offsets = np.zeros(len(feeds) + 1, np.int64)
    offsets[1:] = np.cumsum(keep)[feeds]
    return PackedTokens(data[keep], offsets)


def _parse_json(raw: bytes, path: Path) -> PackedTokens:
    with refusing_damage(str(path), "not JSON"):
        content = json.loads(raw)
    tokens = _by_row(content, path) if isinstance(content, dict) else content
    if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
        raise FormatError(f"{path}: no JSON list of strings and no object of them")
    try:
        return PackedTokens.pack(tokens)
    except UnicodeEncodeError as error:
        raise FormatError(f"{path}: a token is half a character: {error}") from error


def _by_row(content: Mapping[str, Any], path: Path) -> list[str]:
    """Return the tokens of a token-to-row object or a tokenizer, in row order."""
    model = content.get("model")
    if isinstance(model, dict) and "vocab" in model:
        content = of_tokenizer(content, path)
    tokens = in_row_order(content.items())
    if tokens is None:
        raise FormatError(
            f"{path}: its {len(content):,} tokens do not have the rows 0 to "
            f"{len(content) - 1:,}, one each"
        )
    return tokens


def in_row_order(rows: Collection[tuple[str, object]]) -> list[str] | None:
    """Return tokens in the order of their rows, ``None`` where these are not 0, 1, ...

    Rows are places in a list here, not keys of a dictionary: of those that a file
    chooses all can have one hash.
    """
    tokens: list[str | None] = [None] * len(rows)
    for token, row in rows:
        if (
            type(row) is not int
            or not 0 <= row < len(tokens)
            or tokens[row] is not None
        ):
            return None
        tokens[row] = token
    return cast(list[str], tokens)


def of_tokenizer(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the ids of the tokens of a ``tokenizer.json``; `FormatError` if none."""
    with refusing_damage(str(path), "not the vocabulary of a tokenizer"):
        vocab = content["model"]["vocab"]
        if isinstance(vocab, list):  # Unigram: [token, score] pairs in row order
            vocab = {token: row for row, (token, _) in enumerate(vocab)}
        added = content.get("added_tokens") or []
        ids = {**vocab, **{token["content"]: token["id"] for token in added}}
    if not all(isinstance(token, str) for token in ids):
        raise FormatError(f"{path}: not the vocabulary of a tokenizer")
    return ids


def _read_parquet(path: Path, options: ReadOptions) -> PackedTokens:
    from pretrained_embed.formats.arrow.reader import read_column

    return read_column(path, options=options)
