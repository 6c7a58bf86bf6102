"""Tokenizers of other libraries: their tokens, and how they split a text.

A tokenizer is one of:

- a ``tokenizer.json`` of Hugging Face, or a folder with one. Its tokens are read
  without any package; splitting texts needs the package ``tokenizers``;
- a ``Tokenizer`` of that package, or an object with ``get_vocab()`` and
  ``tokenize(text)``, as of ``transformers``;
- a mapping from token to id, which cannot split texts.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import (
    FormatError,
    MissingPackageError,
    OptionError,
    VocabularyError,
    brief,
)
from pretrained_embed.formats.local import json_object
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.content import PARTS, parts_of
from pretrained_embed.vocabulary.markers import (
    Marker,
    TokenText,
    bytes_of,
    marker_of,
    text_of,
)

Pieces = Callable[[str], Iterable[str]]
Writer = Callable[[Path], None]  # writes a tokenizer's files into a folder
AnyTokenizer = str | os.PathLike[str] | Mapping[str, int] | Any

#: The files of a tokenizer in a model's folder.
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
    """A tokenizer: its tokens, the special ones, and how it splits a text."""

    vocabulary: Vocabulary
    special: frozenset[str] = frozenset()  # tokens that are no text
    unk: str | None = None
    cut: Pieces | None = None  # from a text to tokens
    write: Writer | None = None
    roles: Mapping[str, str] = field(default_factory=dict)  # from "eos" to "</s>"
    added: frozenset[str] = frozenset()  # tokens that are written as their text
    given: Any = None  # the object, or the content of its tokenizer.json
    marker: Marker = field(init=False)

    def __post_init__(self) -> None:
        beside = self.special | self.added
        ordinary = (token for token in self.vocabulary if token not in beside)
        object.__setattr__(self, "marker", marker_of(ordinary))

    def text_of(self, token: str) -> TokenText | None:
        """Return the text of a token; ``None`` for a token that is no text."""
        if token in self.special:
            return None
        if token in self.added and not (self.marker and token.startswith(self.marker)):
            return TokenText(True, token.lstrip(" "))
        return text_of(token, self.marker)

    def meaning(self, token: str) -> TokenText | bytes | None:
        """Return the text of a token, or the bytes of a part of a character."""
        text = self.text_of(token)
        if text is None and token not in self.special:
            return bytes_of(token, self.marker)
        return text

    def role(self, part: str) -> int | None:
        """Return the id of the token with a role such as pad, bos or eos."""
        token = self.roles.get(part)
        return None if token is None else self.vocabulary.get(token)

    def pieces(self, text: TokenText) -> list[int]:
        """Return the ids of the tokens in a text, without unk."""
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
        """Return a first piece in its form within or at the start of a word.

        A separate text is split as if it began a word, but a continuation does not
        begin one. The piece is unchanged if the other form is no token.
        """
        found = text_of(token, self.marker)
        if found is None or found.begins_word == begins_word or self.marker == "":
            return token
        marker = self.marker
        marked = begins_word != (marker == "##")
        other = marker + token if marked else token.removeprefix(marker)
        return other if other in self.vocabulary else token


def read(tokenizer: AnyTokenizer, pieces: Pieces | None = None) -> ModelTokenizer:
    """Return the tokenizer of any kind; ``pieces`` replaces its own splitting.

    Raises `VocabularyError` for invalid ids, `FormatError` for a file that is no
    tokenizer, `SourceError` for a missing file and `OptionError` for another object.
    """
    if isinstance(tokenizer, str | os.PathLike):
        return _from_file(Path(tokenizer), pieces)
    if isinstance(tokenizer, Mapping):
        return ModelTokenizer(Vocabulary(tokenizer, pad=None), cut=pieces)
    if hasattr(tokenizer, "to_str"):  # of tokenizers: it has the content of its file
        content = json.loads(tokenizer.to_str())
        return _from_json(content, "the tokenizer", pieces or _encoding(tokenizer))
    if hasattr(tokenizer, "get_vocab"):
        return _from_object(tokenizer, pieces)
    raise OptionError(
        f"{type(tokenizer).__name__} is no tokenizer: expected a path, a mapping "
        "from token to id, or an object with get_vocab() and tokenize()"
    )


def grown(old: ModelTokenizer, tokens: Iterable[str]) -> ModelTokenizer:
    """Return a tokenizer with more tokens, each of which is never split.

    They get the next ids. Raises `VocabularyError` for a token that cannot be added,
    and `OptionError` for a tokenizer that cannot be extended.
    """
    listed = [tokens] if isinstance(tokens, str) else list(tokens)
    for place, token in enumerate(listed):
        if not isinstance(token, str) or not token.strip():
            raise VocabularyError(f"{brief(token)} is no token that can be added")
        if token in old.vocabulary or token in listed[:place]:
            why = "the tokenizer has" if token in old.vocabulary else "the list has"
            raise VocabularyError(
                f"token {brief(token)} cannot be added: {why} it already; leave it out"
            )
    if not listed:
        raise VocabularyError("there is no token to add: list one at least")
    size = len(old.vocabulary)
    ids = {token: size + place for place, token in enumerate(listed)}
    if isinstance(old.given, dict):
        content = copy.deepcopy(old.given)
        entries = [{"id": id, "content": token, **_PLAIN} for token, id in ids.items()]
        content["added_tokens"] = [*(content.get("added_tokens") or []), *entries]
        write: Writer | None = _grown_files(old.write, content, ids)
    elif hasattr(old.given, "add_tokens"):
        larger = copy.deepcopy(old.given)
        larger.add_tokens(listed)
        if any(larger.get_vocab().get(token) != id for token, id in ids.items()):
            raise OptionError(
                f"{type(larger).__name__} gives added tokens other ids than those that "
                "follow its own: give the grown one as the new tokenizer"
            )
        write = _saving(larger)
    else:
        raise OptionError(
            "the tokenizer is a plain mapping, which no token can be added to: give a "
            "path, or a tokenizer of transformers or tokenizers"
        )
    return replace(
        old,
        vocabulary=Vocabulary({**old.vocabulary.ids, **ids}, pad=None),
        added=old.added | ids.keys(),
        write=write,
    )


#: What `add_tokens` of transformers stores for a token, beside its id and content.
_PLAIN = {
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": True,
    "special": False,
}


def _grown_files(write: Writer | None, content: Any, ids: Mapping[str, int]) -> Writer:
    """Return a function that writes the files of a tokenizer with more tokens."""

    def written(folder: Path) -> None:
        if write is not None:
            write(folder)
        _write(folder / "tokenizer.json", content)
        config = folder / "tokenizer_config.json"
        if config.is_file():
            said = json_object(config)
            if isinstance(decoder := said.get("added_tokens_decoder"), dict):
                for token, id in ids.items():
                    decoder[str(id)] = {"content": token, **_PLAIN}
                _write(config, said)
        if (folder / "added_tokens.json").is_file():
            known = json_object(folder / "added_tokens.json")
            _write(folder / "added_tokens.json", known | dict(ids))

    return written


def _write(path: Path, content: Any) -> None:
    path.write_bytes((json.dumps(content, indent=2) + "\n").encode("ascii"))


def _saving(tokenizer: Any) -> Writer | None:
    """Return the function with which an object writes its own files, if it has one."""
    if not hasattr(tokenizer, "save_pretrained"):
        return None

    def written(folder: Path) -> None:
        tokenizer.save_pretrained(str(folder))

    return written


def _from_object(tokenizer: Any, pieces: Pieces | None) -> ModelTokenizer:
    vocabulary = Vocabulary(tokenizer.get_vocab(), pad=None)
    special = frozenset(map(str, getattr(tokenizer, "all_special_tokens", ())))
    said = getattr(tokenizer, "special_tokens_map", {})
    added: Mapping[str, int] = getattr(tokenizer, "get_added_vocab", dict)()
    return ModelTokenizer(
        vocabulary,
        special,
        getattr(tokenizer, "unk_token", None),
        pieces or getattr(tokenizer, "tokenize", None),
        _saving(tokenizer),
        _roles(vocabulary, special, {k: str(v) for k, v in said.items()}),
        frozenset(added) - special,
        tokenizer,
    )


def _from_file(path: Path, pieces: Pieces | None) -> ModelTokenizer:
    folder = path if path.is_dir() else None
    file = path / "tokenizer.json" if folder else path
    with refusing_damage(str(file), "not JSON"):
        content = json.loads(file.read_bytes())
    names = {"tokenizer.json": file}
    if folder:
        names = {name: folder / name for name in FILES if (folder / name).is_file()}
    said: dict[str, str] = {}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if name in names:
            said |= _said(json_object(names[name]))
    made = _from_json(content, str(file), pieces or _Cutter(file), said)

    def written(target: Path) -> None:
        for name, source in names.items():
            with source.open("rb") as original, (target / name).open("xb") as new:
                shutil.copyfileobj(original, new)

    return replace(made, write=written)


def _said(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the special tokens in a tokenizer's config."""
    found = {}
    for name in (f"{part}_token" for part in PARTS):
        value = config.get(name)
        token = value.get("content") if isinstance(value, dict) else value
        if isinstance(token, str):
            found[name] = token
    return found


def _roles(
    vocabulary: Vocabulary, special: Iterable[str], said: Mapping[str, str]
) -> dict[str, str]:
    """Return the tokens with a role such as "eos", by role."""
    parts = {name.removesuffix("_token"): token for name, token in said.items()}
    found = parts_of(sorted(special), parts)
    return {p: t for p, t in found.items() if p in PARTS and t in vocabulary}


def _from_json(
    content: Any, where: str, cut: Pieces, said: Mapping[str, str] | None = None
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
        plain = frozenset(t["content"] for t in added) - special - vocab.keys()
    vocabulary = Vocabulary(ids, pad=None)
    return ModelTokenizer(
        vocabulary,
        special,
        unk,
        cut,
        lambda folder: _write(folder / "tokenizer.json", content),
        _roles(vocabulary, special, said or {}),
        plain,
        content,
    )


def _encoding(tokenizer: Any) -> Pieces:
    return lambda text: tokenizer.encode(text, add_special_tokens=False).tokens


class _Cutter:
    """Splits texts by the package ``tokenizers``, loaded for the first text."""

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
        except Exception as error:  # tokenizers raises only this class itself
            if type(error) is not Exception:
                raise
            raise FormatError(f"{self._file}: {error}") from error
