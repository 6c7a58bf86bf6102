"""The form of a catalog entry in JSON, checked field by field."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, get_args

from pretrained_embed.errors import SourceError
from pretrained_embed.sources.entry import (
    Algorithm,
    Checksum,
    Container,
    Download,
    Entry,
)
from pretrained_embed.sources.url import Url

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(?:\{lang\}[A-Za-z0-9._+-]*)?")
_URL = re.compile(r"https?://[^\s/]+/\S*")
_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}


def entry_from_json(raw: Any) -> Entry:
    """Return the entry that a JSON object describes.

    Raises `ValueError` that names the field which is missing, unknown or wrong.
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
