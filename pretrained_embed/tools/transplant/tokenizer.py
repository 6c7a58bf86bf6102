"""Tokenizers of other libraries: their tokens, and how they cut up a text.

A tokenizer is one of

- a ``tokenizer.json`` of Hugging Face, or a folder with one. Its tokens are read
  without any package; cutting up texts needs the package ``tokenizers``;
- a ``Tokenizer`` of that package, or an object with ``get_vocab()`` and
  ``tokenize(text)``, as of ``transformers``;
- a mapping from token to id, which cuts up nothing by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import (
    FormatError,
    MissingPackageError,
    OptionError,
)
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.markers import Marker, TokenText, marker_of, text_of

Pieces = Callable[[str], Iterable[str]]
AnyTokenizer = str | os.PathLike[str] | Mapping[str, int] | Any

#: The files that a tokenizer consists of in a model's folder.
FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "vocab.json",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)


@dataclass(frozen=True)
class ModelTokenizer:
    """A tokenizer: its tokens, which are special, and how it cuts up a text."""

    vocabulary: Vocabulary
    special: frozenset[str] = frozenset()  # tokens that stand for no text
    unk: str | None = None
    cut: Pieces | None = None  # from a text to tokens
    files: tuple[Path, ...] = ()
    marker: Marker = field(init=False)

    def __post_init__(self) -> None:
        ordinary = (token for token in self.vocabulary if token not in self.special)
        object.__setattr__(self, "marker", marker_of(ordinary))

    def text_of(self, token: str) -> TokenText | None:
        """Return what a token stands for, ``None`` if that is no text."""
        return None if token in self.special else text_of(token, self.marker)

    def pieces(self, text: TokenText) -> list[int]:
        """Return the ids of the tokens that a text consists of, without unk."""
        if self.cut is None:
            raise OptionError(
                "the old tokenizer is a plain mapping, which cuts up no texts; give "
                "pieces=, a function from a text to tokens, or another init"
            )
        spaced = text.begins_word and self.marker == "Ġ"
        tokens = list(self.cut(" " + text.text if spaced else text.text))
        if tokens and not spaced:
            tokens[0] = self._marked(tokens[0], text.begins_word)
            if tokens[0] == "▁" and not text.begins_word:
                del tokens[0]
        ids = self.vocabulary.ids
        return [ids[token] for token in tokens if token != self.unk and token in ids]

    def _marked(self, token: str, begins_word: bool) -> str:
        """Return a first piece in the form it has within or at the start of a word.

        A text of its own is cut up as if it began a word, which what goes on in a word
        does not. The piece stays as it is if the other form is no token.
        """
        found = text_of(token, self.marker)
        if found is None or found.begins_word == begins_word or self.marker == "":
            return token
        marker = self.marker
        marked = begins_word != (marker == "##")
        other = marker + token if marked else token.removeprefix(marker)
        return other if other in self.vocabulary else token


def read(tokenizer: AnyTokenizer, pieces: Pieces | None = None) -> ModelTokenizer:
    """Return what there is to know; ``pieces`` takes the place of its own cutting.

    Raises `VocabularyError` if its ids are no ids, `FormatError` for a file that is no
    tokenizer, `SourceError` if there is none and `OptionError` for another object.
    """
    if isinstance(tokenizer, str | os.PathLike):
        return _from_file(Path(tokenizer), pieces)
    if isinstance(tokenizer, Mapping):
        return ModelTokenizer(Vocabulary(tokenizer, pad=None), cut=pieces)
    if hasattr(tokenizer, "to_str"):  # of tokenizers: tells all as its file does
        content = json.loads(tokenizer.to_str())
        return _from_json(content, "the tokenizer", pieces or _encoding(tokenizer))
    if hasattr(tokenizer, "get_vocab"):
        return ModelTokenizer(
            Vocabulary(tokenizer.get_vocab(), pad=None),
            frozenset(getattr(tokenizer, "all_special_tokens", ())),
            getattr(tokenizer, "unk_token", None),
            pieces or getattr(tokenizer, "tokenize", None),
        )
    raise OptionError(
        f"{type(tokenizer).__name__} is no tokenizer: expected a path, a mapping "
        "from token to id, or an object with get_vocab() and tokenize()"
    )


def _from_file(path: Path, pieces: Pieces | None) -> ModelTokenizer:
    folder = path if path.is_dir() else None
    file = path / "tokenizer.json" if folder else path
    with refusing_damage(str(file), "not JSON"):
        content = json.loads(file.read_bytes())
    files = [folder / name for name in FILES] if folder else [file]
    return _from_json(
        content,
        str(file),
        pieces or _Cutter(file),
        tuple(file for file in files if file.is_file()),
    )


def _from_json(
    content: Any, where: str, cut: Pieces, files: tuple[Path, ...] = ()
) -> ModelTokenizer:
    with refusing_damage(where, "not a tokenizer.json of Hugging Face"):
        model = content["model"]
        vocab, unk = model["vocab"], model.get("unk_token")
        if isinstance(vocab, list):  # Unigram: [token, score] pairs in order of id
            if (place := model.get("unk_id")) is not None:
                unk = vocab[place][0]
            vocab = {token: id for id, (token, _) in enumerate(vocab)}
        added = content.get("added_tokens") or []
        ids = {**vocab, **{token["content"]: token["id"] for token in added}}
        special = frozenset(t["content"] for t in added if t.get("special"))
    return ModelTokenizer(Vocabulary(ids, pad=None), special, unk, cut, files)


def _encoding(tokenizer: Any) -> Pieces:
    return lambda text: tokenizer.encode(text, add_special_tokens=False).tokens


class _Cutter:
    """Cuts up texts with the package ``tokenizers``, loaded for the first of them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._cut: Pieces | None = None

    def __call__(self, text: str) -> Iterable[str]:
        if self._cut is None:
            self._cut = _encoding(self._load())
        return self._cut(text)

    def _load(self) -> Any:
        try:
            from tokenizers import Tokenizer as Loaded
        except ImportError as error:
            raise MissingPackageError(
                f"cutting up texts with {self._file} needs tokenizers: pip install "
                "tokenizers; or give pieces=, a function from a text to tokens"
            ) from error
        text = self._file.read_text("utf-8")
        try:
            return Loaded.from_str(text)
        except Exception as error:  # that class itself is all that tokenizers raises
            if type(error) is not Exception:
                raise
            raise FormatError(f"{self._file}: {error}") from error
