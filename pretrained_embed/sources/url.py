"""A URL, which may hold secrets, as a value that never shows them.

Every URL that a user, a catalog or a redirect names is made a `Url` before it is used.
One with a password in it is refused. What signs a URL is asked for and never shown:

    https://host/v.txt?X-Amz-Date=20261130T0900&X-Amz-Signature=b2f1&versionId=3
    https://host/v.txt?X-Amz-Date=...&X-Amz-Signature=...&versionId=3

A `Url` *is* the second of these, a string like any other; the first is its ``whole``.
So whatever is kept, compared or printed has no secret, and two URLs that differ only in
their signatures are the same. What is to be kept in an object of somebody's is made
``str(url)``, for a pickled `Url` is whole: it goes to workers, who have to ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from pretrained_embed.errors import SourceError

HIDDEN = "..."

_URL = re.compile(r"(?:[a-z][a-z0-9.+-]*::)*[a-z][a-z0-9.+-]+://", re.IGNORECASE)
#: Each scheme in a text with what stands for user, password, host and port there.
_AUTHORITY = re.compile(r"([a-z][a-z0-9.+-]+):/+([^/?#]*)", re.IGNORECASE)
_LOGIN = re.compile(
    r"((?:remote\+)?https?:/+|[a-z][a-z0-9.+-]+:/+(?=[^/?#@]*:))[^/?#]*@", re.IGNORECASE
)
#: A URL that stands in a text, as far as it can be told from what follows it.
_IN_A_TEXT = re.compile(
    r"(?:[a-z][a-z0-9.+-]*::)*[a-z][a-z0-9.+-]+:/+[^\s\"'<>]+", re.IGNORECASE
)
_WEB = ("http", "https")
_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")

#: A parameter; a part behind ``;`` or ``?`` that has no name belongs to the value.
_PARAMETER = re.compile(r"[?&;]([^=?&;]+)=([^?&;]*(?:[?;][^=?&;]*(?=[?&;]|$))*)")
# Names of parameters, in lower case and without - _ and dots. An object store signs
# with several: AWS https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html,
# Azure https://learn.microsoft.com/rest/api/storageservices/create-service-sas.
_SIGNATURE = re.compile(
    r"x(?:amz|goog|oss|cos|obs|tos|bce).*|q(?:sign|ak|key|header|url).*"
    r"|.*signature|sig|sign|hmac|hm"
)
_SECRET = re.compile(
    r".*(?:token|secret|password|passwd|passphrase|credentials?|jwt|bearer"
    r"|(?:api|auth|access|private|subscription)key|access(?:key)?id|sess(?:ion)?id)"
    r"|auth|authorization|tempauth|session|pwd|pass|sas|rlkey|viewonly|privatelink"
    r"|hdnea|hdnts?"
)
#: What is signed with the rest, and is another with each signature.
_SIGNED = re.compile(
    r"expires?|expiry|policy|keypairid|hashalgorithm|ex|is"
    r"|s[vsrpei]|st|srt|spr|sip|sk(?:oid|tid|[tesv])|sdd|saoid|suoid|scid|ses"
)
_GOOGLE_KEY = re.compile(r"AIza[\w-]{30,}")

#: Values shorter than this are no secrets, and stand in many a word.
_SHORTEST = 6


class Url(str):
    """A URL as it may be shown; see above.

    Raises `SourceError`, which does not repeat it, where there is a password in it.

    >>> url = Url("https://host/v.txt?sig=b2f1#v.txt")
    >>> print(url, url.whole)
    https://host/v.txt?sig=...#v.txt https://host/v.txt?sig=b2f1#v.txt
    """

    whole: str

    def __new__(cls, text: str) -> Url:
        """Make one of a text; a `Url` is one already."""
        if isinstance(text, Url):
            return text
        refuse_password(text)
        made = super().__new__(cls, public(text))
        made.whole = text
        return made

    def __getnewargs__(self) -> tuple[str]:
        return (self.whole,)

    @property
    def scheme(self) -> str:
        """What stands before ``://``, in lower case."""
        return self.partition("://")[0].lower()

    @property
    def origin(self) -> tuple[str, str | None, int | None]:
        """Scheme, host and port: whom credentials are meant for."""
        parts = urlsplit(self.whole)
        port = parts.port or _PORTS.get(parts.scheme)
        return parts.scheme, parts.hostname, port

    @property
    def is_signed(self) -> bool:
        """Whether there is more to it than is shown."""
        return self.whole != str(self)

    @property
    def is_shortened(self) -> bool:
        """Whether it is one as it is shown: what signs it is not known."""
        return any(value == HIDDEN for value in _secrets(self.whole))

    def parted(self) -> tuple[Url, str]:
        """Return the URL of the file, and the member named behind ``#``, or ``""``."""
        address, _, member = self.whole.partition("#")
        return Url(address), member

    def with_member(self, member: str) -> Url:
        """Return the URL of a member of the archive here."""
        return Url(f"{self.whole}#{member}")

    def leads_to(self, location: str) -> Url:
        """Return the URL that a redirect names. Raises as for any other URL."""
        try:
            return Url(urljoin(self.whole, location.strip())).parted()[0]
        except ValueError as error:
            raise SourceError("its address makes no sense") from error

    def hide(self, text: str) -> str:
        """Return what somebody else says of this URL without its secrets."""
        text = text.replace(self.whole, self)
        query, shown = (url.partition("?")[2] for url in (self.whole, str(self)))
        if query:
            text = text.replace(query, shown)
        for value in _secrets(self.whole):
            for form in (value, unquote(value)):
                if len(form) >= _SHORTEST:
                    text = text.replace(form, HIDDEN)
        return text

    def cause(self, error: BaseException) -> BaseException | None:
        """Return an error as the cause of one of ours, unless it may show secrets."""
        return None if self.is_signed else error


def canonical(url: Url) -> str:
    """Return what all spellings of a URL have in common, without its secrets.

    RFC 3986, 6.2: the case of scheme and host, a port that goes without saying, what
    is escaped in vain, and steps in the path that lead nowhere.

    >>> canonical(Url("HTTPS://Host:443/a/../%7euser/v.txt"))
    'https://host/~user/v.txt'
    """
    parts = urlsplit(str(url))
    scheme, host, port = url.origin
    at = f"[{host}]" if host and ":" in host else host or ""
    if port not in (None, _PORTS.get(scheme)):
        at += f":{port}"
    path = _ESCAPE.sub(_unescaped, parts.path) or "/"
    if "/." in path and not path.startswith("//"):
        path = urljoin("https://host/", path).removeprefix("https://host")
    query = f"?{_ESCAPE.sub(_unescaped, parts.query)}" if parts.query else ""
    return f"{scheme}://{at}{path}{query}"


def _unescaped(escape: re.Match[str]) -> str:
    byte = chr(int(escape[1], 16))
    return byte if _UNRESERVED.fullmatch(byte) else escape[0].upper()


def url_or_words(words: str) -> str:
    """Return what a user names: a `Url` where it is one.

    Raises `SourceError`, which does not repeat it, where there is a password in it.
    """
    if _URL.match(words):
        return Url(words)
    refuse_password(words)
    return words


def with_member(address: str, member: str) -> str:
    """Return the address of a member of the archive at a path or a URL."""
    if isinstance(address, Url):
        return address.with_member(member)
    return f"{address}#{member}"


def public(text: str) -> str:
    """Return a URL as it may be shown: without secrets, and without a login."""
    text = _LOGIN.sub(rf"\1{HIDDEN}@", text)
    address, mark, member = text.partition("#")
    hidden = {match.span(2) for match in _hidden(address)}
    for start, stop in sorted(hidden, reverse=True):
        address = address[:start] + HIDDEN + address[stop:]
    return address + mark + member


def shown(value: Any) -> Any:
    """Return what JSON can hold without the secrets of any URL in its texts.

    Files that releases before this one wrote may have them.
    """
    if isinstance(value, str):
        return _IN_A_TEXT.sub(lambda found: public(found[0]), value)
    if isinstance(value, dict):
        return {name: shown(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shown(one) for one in value]
    return value


def refuse_password(text: str) -> None:
    """Raise `SourceError`, which does not repeat the text, if it has a password."""
    for form in {text, unquote(text)}:
        for scheme, authority in _AUTHORITY.findall(form):
            is_web = scheme.lower().rpartition("+")[2] in _WEB
            if _has_login(authority, is_web=is_web, at_later="@" in form):
                raise SourceError(
                    "a URL with a password in it is not read, for sources are named in "
                    "results and messages; leave it out, and write it to ~/.netrc for "
                    "https:// ('machine HOST login NAME password PASSWORD'); for other "
                    "protocols credentials are taken from the environment"
                )


def _has_login(authority: str, *, is_web: bool, at_later: bool) -> bool:
    login, at, host = authority.rpartition("@")
    if at:
        # Elsewhere a name without a password is more often a container or a version.
        return is_web or ":" in login
    # A password with a slash in it: what looks like a port is none.
    port = host.rpartition("]")[2].partition(":")[2]
    strange = bool(port) and not port.isdigit() and not authority.startswith("arn:")
    return strange and (is_web or at_later)


def _secrets(text: str) -> Iterator[str]:
    return (match[2] for match in _hidden(text.partition("#")[0]))


def _hidden(address: str) -> list[re.Match[str]]:
    """Return the parameters of a URL whose values are not for everybody."""
    found = [(_plain(match[1]), match) for match in _PARAMETER.finditer(address)]
    is_signed = any(_SIGNATURE.fullmatch(name) for name, _ in found)
    return [
        match
        for name, match in found
        if _SIGNATURE.fullmatch(name)
        or _SECRET.fullmatch(name)
        or (is_signed and _SIGNED.fullmatch(name))
        or (name == "key" and _GOOGLE_KEY.fullmatch(match[2]))
    ]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]", "", unquote(name).lower())
