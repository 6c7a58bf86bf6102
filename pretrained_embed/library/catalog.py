"""The catalog: facts about the vectors that have a name.

``catalog.json`` beside this file has ``{"schema": 1, "entries": [...]}``. An entry has
the fields of `Entry`: ``id`` and ``urls`` are required, an unknown field is null or
missing. A user's own catalog has the same form and is given by an argument or by the
environment variable ``PRETRAINED_EMBED_CATALOG``; its entries replace ours with the
same id.

An id with ``{lang}`` is a template: one entry for each of its languages.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import SourceError, UnknownSourceError
from pretrained_embed.sources.url import Url

Container = Literal["gzip", "bzip2", "xz", "zstd", "zip", "tar", "tar.gz"]
Algorithm = Literal["sha256", "sha1", "md5"]  # the strongest first


@dataclass(frozen=True)
class Checksum:
    """A published checksum.

    ``of`` is ``"file"``, the downloaded bytes, or ``"member"``, the file in the
    archive; ``vouched`` says who published it.
    """

    algorithm: Algorithm
    of: Literal["file", "member"]
    value: str
    vouched: str = ""

    @property
    def words(self) -> str:
        """The checksum as one word, ``algorithm:value``."""
        return f"{self.algorithm}:{self.value}"


@dataclass(frozen=True)
class Download:
    """One file to download: the same bytes from each of its ``urls``, in this order."""

    urls: tuple[Url, ...]
    checksums: tuple[Checksum, ...] = ()
    size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "urls", tuple(map(Url, self.urls)))

    def published(self, of: str) -> Checksum | None:
        """Return the strongest published checksum of the file, or of its member."""
        order = get_args(Algorithm)
        fitting = [checksum for checksum in self.checksums if checksum.of == of]
        return min(fitting, key=lambda c: order.index(c.algorithm), default=None)


@dataclass(frozen=True)
class Entry:
    """One set of vectors."""

    id: str
    urls: tuple[Url, ...]  # all have the same bytes
    family: str | None = None
    title: str | None = None
    languages: tuple[str, ...] = ()  # codes of the publisher; "mul": many in one file
    case: Literal["cased", "uncased"] | None = None
    format: str | None = None
    header: bool | None = None  # whether a text begins with its number of rows and dim
    dim: int | None = None
    rows: int | None = None
    container: Container | None = None
    member: str | None = None  # of the archive; None: its only file
    size: int | None = None  # bytes to download
    member_size: int | None = None  # bytes unpacked
    checksums: tuple[Checksum, ...] = ()
    checksums_by_language: Mapping[str, tuple[Checksum, ...]] = field(
        default_factory=dict
    )
    tokens: Download | None = None  # a second file, which has the tokens
    licence: str | None = None
    licence_url: str | None = None
    corpus: str | None = None
    citation: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "urls", tuple(map(Url, self.urls)))

    @property
    def is_template(self) -> bool:
        """Whether this is a template of one entry for each of ``languages``."""
        return "{lang}" in self.id

    def for_language(self, code: str) -> Entry:
        """Return the entry of one language of a template."""

        def filled(text: str | None) -> Any:
            return text and text.replace("{lang}", code)

        return replace(
            self,
            id=filled(self.id),
            title=filled(self.title),
            member=filled(self.member),
            urls=tuple(filled(url.whole) for url in self.urls),
            languages=(code,),
            checksums=self.checksums_by_language.get(code, self.checksums),
            checksums_by_language={},
        )

    def download(self) -> Download:
        """Return the file to download."""
        return Download(self.urls, self.checksums, self.size)

    def facts(self) -> dict[str, object]:
        """Return the facts for the provenance of its vectors."""
        return {
            "source": self.id,
            "title": self.title,
            "licence": self.licence,
            "citation": self.citation,
            "corpus": self.corpus,
        }


def entry_of_url(url: str) -> Entry:
    """Return an entry for a URL that the catalog does not have.

    The part after ``#`` names a member of the archive.
    """
    named = Url(url)
    address, member = named.parted()
    return Entry(id=str(named), urls=(address,), member=unquote(member) or None)


ENVIRONMENT = "PRETRAINED_EMBED_CATALOG"

_LONGEST = 100  # characters of a name that are compared
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(?:\{lang\}[A-Za-z0-9._+-]*)?")
_URL = re.compile(r"https?://[^\s/]+/\S*")
_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}


class Catalog(dict[str, Entry]):
    """Entries by id, templates included."""

    def get_entry(self, name: str) -> Entry | None:
        """Return the entry ``name``, which may be one of a template, or ``None``."""
        if name in self and not self[name].is_template:
            return self[name]
        for template in self.values():
            before, mark, after = template.id.partition("{lang}")
            code = name[len(before) : len(name) - len(after)]
            if mark and name == f"{before}{code}{after}" and code in template.languages:
                return template.for_language(code)
        return None

    def find(self, name: str) -> Entry:
        """Return the entry ``name``.

        Raises `UnknownSourceError`, which suggests the nearest names.
        """
        entry = self.get_entry(name)
        if entry is None:
            raise UnknownSourceError(
                f"no known source of vectors is called {name!r}{self.suggestion(name)}"
            )
        return entry

    def suggestion(self, name: str) -> str:
        """Return advice for an unknown name: the nearest names, or how to list them."""
        from difflib import get_close_matches

        near = get_close_matches(
            name.lower()[:_LONGEST], [e.id for e in self._every()], n=3
        )
        if near:
            return f"; did you mean {' or '.join(near)}?"
        return "; pretrained-embed list shows the names there are"

    def entries(
        self,
        *,
        language: str | None = None,
        family: str | None = None,
        dim: int | None = None,
    ) -> list[Entry]:
        """Return the entries that fit, in the order of the catalog.

        A template is one entry, unless a language is asked for.
        """
        chosen = self.values() if language is None else self._every()
        return [
            entry
            for entry in chosen
            if (language is None or language in entry.languages)
            and family in (None, entry.family)
            and dim in (None, entry.dim)
        ]

    def _every(self) -> Iterator[Entry]:
        for entry in self.values():
            if not entry.is_template:
                yield entry
                continue
            for code in entry.languages:
                if (one := entry.for_language(code)).id not in self:
                    yield one


def bundled() -> Catalog:
    """Return the catalog that comes with this package."""
    return read(Path(__file__).with_name("catalog.json"))


def load(extra_path: str | os.PathLike[str] | None = None) -> Catalog:
    """Return our catalog, with the entries of another one merged into it.

    The other one is ``extra_path`` or the file that ``PRETRAINED_EMBED_CATALOG`` names.
    Raises `SourceError` if it cannot be read or has a wrong form.
    """
    catalog = bundled()
    if extra_path is None and os.environ.get(ENVIRONMENT):
        extra_path = Path(os.environ[ENVIRONMENT]).expanduser()
    if extra_path is not None:
        catalog.update(read(extra_path))
    return catalog


def read(path: str | os.PathLike[str]) -> Catalog:
    """Read one catalog file.

    Raises `SourceError` if it cannot be read or has a wrong form.
    """
    with refusing_damage(f"catalog {path}", "is no JSON", "", kind=SourceError):
        document = json.loads(Path(os.fsdecode(path)).read_bytes())
    if not isinstance(document, dict) or document.get("schema") != 1:
        raise SourceError(f'catalog {path}: an object with "schema": 1 is expected')
    raw = document.get("entries")
    if not isinstance(raw, list):
        raise SourceError(f'catalog {path}: a list "entries" is expected')
    catalog = Catalog()
    for number, one in enumerate(raw):
        try:
            entry = entry_from_json(one)
        except ValueError as error:
            name = one.get("id", "?") if isinstance(one, dict) else "?"
            raise SourceError(
                f"catalog {path}: entry {number} ({name!s:.100}): {error}"
            ) from error
        if entry.id in catalog:
            raise SourceError(f"catalog {path}: two entries have the id {entry.id}")
        catalog[entry.id] = entry
    return catalog


def entry_from_json(raw: Any) -> Entry:
    """Return the entry that a JSON object describes.

    Raises `ValueError`, which names the missing, unknown or wrong field.
    """
    entry: Entry = _object(Entry, raw, _ENTRY, needed=("id", "urls"))
    return entry


def _object(
    kind: Callable[..., Any],
    raw: Any,
    checks: dict[str, Callable[[Any], Any]],
    needed: tuple[str, ...],
) -> Any:
    if not isinstance(raw, dict):
        raise ValueError("an object is expected")
    for name in needed:
        if raw.get(name) is None:
            raise ValueError(f"{name!r} is missing")
    given = {}
    for name, value in raw.items():
        if name not in checks:
            raise ValueError(f"{name!r} is not one of {', '.join(checks)}")
        if value is not None:
            try:
                given[name] = checks[name](value)
            except ValueError as error:
                raise ValueError(f"{name!r}: {error}") from error
    return kind(**given)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"text is expected, not {value!r}")
    return value


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not pattern.fullmatch(_text(value)):
            raise ValueError(f"{value!r} does not match {pattern.pattern}")
        return str(value)

    return check


def _url(value: Any) -> Url:
    try:
        url = Url(_text(value))
    except SourceError as error:
        raise ValueError(str(error)) from error
    if not _URL.fullmatch(url):
        raise ValueError(f"{str(url)!r} does not match {_URL.pattern}")
    return url


def _one_of(allowed: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return str(value)

    return check


def _positive(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"a whole number above 0 is expected, not {value!r}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false is expected, not {value!r}")
    return value


def _each(check: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def checks(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"a list is expected, not {value!r}")
        return tuple(check(one) for one in value)

    return checks


def _checksum(raw: Any) -> Checksum:
    checksum: Checksum = _object(
        Checksum, raw, _CHECKSUM, needed=("algorithm", "of", "value")
    )
    digits = _DIGITS[checksum.algorithm]
    if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", checksum.value):
        raise ValueError(f"{checksum.algorithm} has {digits} hexadecimal digits")
    return checksum


def _checksums_by_language(raw: Any) -> dict[str, tuple[Checksum, ...]]:
    if not isinstance(raw, dict):
        raise ValueError("an object is expected")
    return {code: _each(_checksum)(checksums) for code, checksums in raw.items()}


def _download(raw: Any) -> Download:
    download: Download = _object(Download, raw, _DOWNLOAD, needed=("urls",))
    return download


_CHECKSUM: dict[str, Callable[[Any], Any]] = {
    "algorithm": _one_of(get_args(Algorithm)),
    "of": _one_of(("file", "member")),
    "value": _text,
    "vouched": _text,
}
_DOWNLOAD: dict[str, Callable[[Any], Any]] = {
    "urls": _each(_url),
    "checksums": _each(_checksum),
    "size": _positive,
}
_ENTRY: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("family", "title", "format", "member", "corpus"), _text),
    **dict.fromkeys(("licence", "licence_url", "citation"), _text),
    **dict.fromkeys(("dim", "rows", "member_size"), _positive),
    **_DOWNLOAD,
    "id": _matching(_ID),
    "languages": _each(_text),
    "case": _one_of(("cased", "uncased")),
    "header": _flag,
    "container": _one_of(get_args(Container)),
    "checksums_by_language": _checksums_by_language,
    "tokens": _download,
}
