"""Files and folders that have a vocabulary.

If the kind is not given, the first kind that recognises the content reads it:

- a column of a table, of Parquet and the like, or ``FILE#COLUMN``, and an array of
  whole numbers in ``.npy`` (`tables`);
- a folder: that of a spaCy model, then that of a Hugging Face tokenizer (`folders`);
- a report of coverage as CSV, by its first line (`tables`);
- a ``.model`` of SentencePiece (`sentencepiece`);
- a ``tokenizer.json`` of Hugging Face (`json_files`);
- a file of `Vocabulary.save` (`saved`);
- JSON: a name that ends in ``.json``, and content that starts with ``[`` or ``{`` and
  is JSON from start to end (so that BERT's vocabulary, whose first token is ``[PAD]``,
  is text) (`json_files`);
- a dictionary of gensim or of fastText, by its first two lines (`text`);
- a ``.vocab`` of SentencePiece, by all of its scores (`sentencepiece`);
- counts, by the first line, BERT's ``vocab.txt``, by its special tokens, otherwise text
  (`text`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from pretrained_embed.errors import OptionError, suggestion
from pretrained_embed.files.reading import is_folder
from pretrained_embed.vocabulary.content import RawVocabulary

if TYPE_CHECKING:
    from pretrained_embed.vocabulary.files.file import VocabularyFile

Kind = Literal[
    "text",
    "counts",
    "json",
    "bert",
    "tokenizer",
    "sentencepiece",
    "spacy",
    "gensim",
    "fasttext",
    "report",
    "numbers",
    "saved",
]

#: The kinds of file and folder.
KINDS: tuple[Kind, ...] = get_args(Kind)


class _FileKind(NamedTuple):
    kind: Kind
    recognise: Callable[[VocabularyFile], bool]
    read: Callable[[VocabularyFile], RawVocabulary]


def _readings() -> tuple[_FileKind, ...]:
    """Return all kinds in the order in which they are tried.

    Their code is only loaded for a file, since most vocabularies come from elsewhere.
    """
    from pretrained_embed.vocabulary.files import (
        json_files,
        saved,
        sentencepiece,
        tables,
        text,
    )

    return (
        _FileKind("report", tables.is_report, tables.read_report),
        _FileKind("numbers", lambda _: False, text.read_numbers),
        _FileKind("sentencepiece", sentencepiece.recognise_model, sentencepiece.read),
        _FileKind("tokenizer", json_files.recognise, json_files.read),
        _FileKind("saved", saved.is_saved, saved.read_saved),
        _FileKind("json", lambda file: file.is_json, json_files.read_plain),
        _FileKind("spacy", lambda _: False, json_files.read_spacy),
        _FileKind("gensim", text.is_gensim, text.read_gensim),
        _FileKind("fasttext", text.is_fasttext, text.read_fasttext),
        _FileKind("sentencepiece", sentencepiece.recognise_vocab, sentencepiece.read),
        _FileKind("counts", text.holds_counts, text.read_counts),
        _FileKind("bert", text.is_bert, text.read_bert),
        _FileKind("text", lambda _: True, text.read_text),
    )


def read(path: str | os.PathLike[str], kind: Kind | None) -> RawVocabulary:
    """Read a file or folder that has a vocabulary.

    Raises `VocabularyError`, which names the file, and the line or byte if there is
    one, and `OptionError` for an unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise OptionError(
            f"kind is {kind!r}; it can be {', '.join(KINDS)}"
            f"{suggestion(str(kind), KINDS)}"
        )
    from pretrained_embed.vocabulary.files import folders, tables
    from pretrained_embed.vocabulary.files.file import VocabularyFile

    if kind in (None, "tokenizer", "spacy") and is_folder(Path(path)):
        return folders.read(Path(path), kind)
    if kind in (None, "numbers"):
        read_column = tables.read_column_of(path, numbers=kind == "numbers")
        if read_column is not None:
            return read_column
    file = VocabularyFile(path, told=kind is not None)
    reading = next(
        reading
        for reading in _readings()
        if reading.kind == kind or (kind is None and reading.recognise(file))
    )
    return reading.read(file)
