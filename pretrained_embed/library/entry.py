"""What the catalog knows of one set of vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args
from urllib.parse import unquote

from pretrained_embed.sources.url import Url

Container = Literal["gzip", "bzip2", "xz", "zstd", "zip", "tar", "tar.gz"]
Algorithm = Literal["sha256", "sha1", "md5"]  # the strongest first


@dataclass(frozen=True)
class Checksum:
    """A published checksum.

    ``of`` is ``"file"``, the bytes that the URLs give, or ``"member"``, what is in
    them; ``vouched`` says who stands for it.
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


@dataclass(frozen=True)
class Entry:
    """One set of vectors."""

    id: str
    urls: tuple[Url, ...]  # all give the same bytes
    family: str | None = None
    title: str | None = None
    languages: tuple[str, ...] = ()  # codes of the publisher; "mul": many in one file
    case: Literal["cased", "uncased"] | None = None
    format: str | None = None
    header: bool | None = None  # whether a text begins with its count and dim
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
    tokens: Download | None = None  # a second file, which holds the tokens
    licence: str | None = None
    licence_url: str | None = None
    corpus: str | None = None
    citation: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "urls", tuple(map(Url, self.urls)))

    @property
    def is_template(self) -> bool:
        """Whether this stands for one entry for each of ``languages``."""
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
        """Return what goes into the provenance of its vectors."""
        return {
            "source": self.id,
            "title": self.title,
            "licence": self.licence,
            "citation": self.citation,
            "corpus": self.corpus,
        }


def entry_of_url(url: str) -> Entry:
    """Return an entry for a URL of which nothing else is known.

    What follows ``#`` names a member of the archive there.
    """
    named = Url(url)
    address, member = named.parted()
    return Entry(id=str(named), urls=(address,), member=unquote(member) or None)


def published(checksums: tuple[Checksum, ...], of: str) -> Checksum | None:
    """Return the strongest published checksum of the file or of its member."""
    order = get_args(Algorithm)
    fitting = [checksum for checksum in checksums if checksum.of == of]
    return min(fitting, key=lambda c: order.index(c.algorithm), default=None)
