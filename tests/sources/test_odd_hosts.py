"""Hosts that lead astray, keep waiting, or say what makes no sense."""

from __future__ import annotations

import pytest

from pretrained_embed.errors import SourceError
from pretrained_embed.library.catalog import Entry
from pretrained_embed.sources import http
from pretrained_embed.sources.http import Retry
from tests import servers
from tests.sources.published import DATA, entry, interrupted, left, sha256


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", "no https:// URL"),
        ("ftp://127.0.0.1/v.txt", "no https:// URL"),
        ("https://me:pw-1@127.0.0.1/v.txt", "password"),
        ("https://pw-1@127.0.0.1/v.txt", "password"),
        ("https://me:pw-1/x@127.0.0.1/v.txt", "password"),
        ("https://[bad/v.txt", "makes no sense"),
    ],
)
def test_a_redirect_to_where_nothing_is_asked_is_named(location, message, host, get):
    host.default = servers.redirect(location)

    with pytest.raises(SourceError, match=message) as caught:
        get(entry(host))
    assert "pw-1" not in str(caught.value)
    assert len(host.asked) == 1


def test_a_redirect_may_be_relative(host, get):
    host.answers += [servers.redirect("elsewhere/w.txt"), servers.redirect("/v.txt")]

    assert get(entry(host)).path.read_bytes() == DATA
    assert [name for name, _ in host.asked] == ["v.txt", "elsewhere/w.txt", "v.txt"]


def test_a_chain_of_redirects_has_an_end(host, get):
    def onward(handler: servers.Handler, data: bytes) -> None:
        servers.redirect(f"/{len(host.asked)}")(handler, data)

    host.default = onward
    with pytest.raises(SourceError, match="more than 20 redirects"):
        get(entry(host))
    assert len(host.asked) == http.MOST_REDIRECTS + 1


@pytest.mark.parametrize("code", [302, 404, 500])
def test_what_comes_with_a_redirect_or_an_error_is_not_read(code, host, get):
    sent = []

    def endless(handler: servers.Handler, data: bytes) -> None:
        headers = {"Content-Length": str(2 << 30), "Location": "/v.txt"}
        handler.send(code, headers, b"")
        while not handler.close_connection and len(sent) < 2048:
            handler.push(bytes(1 << 20))
            sent.append(1)

    host.answers += [endless] * (4 if code == 500 else 1)
    if code == 404:
        with pytest.raises(SourceError, match="404 Not Found"):
            get(entry(host))
    elif code == 500:
        with pytest.raises(SourceError, match="500 Internal"):
            get(entry(host))
    else:
        assert get(entry(host)).path.read_bytes() == DATA
    assert len(sent) < 200  # what the system's buffers hold


def test_headers_that_drip_have_one_deadline(host, get):
    def drip(handler: servers.Handler, data: bytes) -> None:
        handler.push(b"HTTP/1.1 200 OK\r\n")
        while not handler.close_connection:
            handler.push(b"H")

    looks = iter(range(10**6))  # each at the clock takes four seconds
    retry = Retry(sleep=lambda _: None, clock=lambda: 4.0 * next(looks))
    host.default = drip

    with pytest.raises(SourceError, match="no answer"):
        get(entry(host), retry=retry)


def raw(head: bytes, body: bytes = b"") -> servers.Answer:
    """Send these very bytes behind the first line, and hang up."""

    def answer(handler: servers.Handler, data: bytes) -> None:
        handler.push(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)
        handler.hang_up()

    return answer


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"Content-Length: " + b"9" * 5000, "Content-Length makes no sense"),
        (b"Content-Length: " + b"9" * 20, "Content-Length makes no sense"),
        (b"Content-Length: -1", "Content-Length makes no sense"),
        (b"Content-Length: 1e9", "Content-Length makes no sense"),
        (b"Content-Length:", "Content-Length makes no sense"),
        (b"Content-Length: 5\r\nContent-Length: 7", "Content-Length"),
        (b"Content-Length: " + b"9" * 17, "more bytes are needed"),
        (b"Transfer-Encoding: gzip, chunked", "Transfer-Encoding"),
        (b"X: " + b"y" * 70_000, "no answer"),
        (b"\r\n".join([b"X: y"] * 200), "no answer"),
    ],
    ids=range(10),
)
def test_headers_that_make_no_sense_are_an_error_of_ours(head, message, host, get):
    host.default = raw(head, DATA)

    with pytest.raises(SourceError, match=message) as caught:
        get(entry(host))
    assert len(str(caught.value)) < 600


def test_a_length_may_be_repeated(host, get):
    length = b"Content-Length: %d" % len(DATA)
    host.answers.append(raw(length + b"\r\n" + length, DATA))

    assert get(entry(host)).path.read_bytes() == DATA
    assert len(host.asked) == 1


@pytest.mark.parametrize(
    "span",
    ["bytes 5-3/9", "bytes 0-9/5", f"bytes 0-{'9' * 5000}/1", "bytes 0-9/*", "0-9/10"],
    ids=range(5),
)
def test_a_range_that_makes_no_sense_is_an_error_of_ours(span, host, get):
    interrupted(host, get, entry(host))
    host.default = servers.status(206, DATA, Content_Range=span)

    with pytest.raises(SourceError, match="Content-Range makes no sense"):
        get(entry(host))


@pytest.mark.parametrize("more", [-5, 5])
def test_chunks_of_another_length_than_was_said_are_not_taken(
    more, host, get, tmp_path
):
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA)
    head = b"Transfer-Encoding: chunked\r\nContent-Length: %d" % (len(DATA) + more)
    host.default = raw(head, body)

    with pytest.raises(SourceError, match="bytes"):
        get(entry(host))
    assert "v.txt" not in left(tmp_path)


@pytest.mark.parametrize(
    "lie",
    [
        raw(b"Content-Length: " + b"9" * 17, DATA),
        raw(b"Content-Length: " + b"9" * 5000, DATA),
        servers.long_by(10**15),
        servers.long_by(5),
        servers.short_by(5),
    ],
    ids=["disk", "digits", "room", "long", "short"],
)
def test_a_first_mirror_that_lies_of_a_length_does_not_stop_the_second(lie, host, get):
    with servers.serving() as liar:
        liar.files["v.txt"], liar.default = DATA, lie
        urls = (liar.url + "v.txt", host.url + "v.txt")
        wanted = Entry("v", urls, checksums=(sha256(DATA),))

        assert get(wanted).path.read_bytes() == DATA


def careless(handler: servers.Handler, data: bytes) -> None:
    """Send the range of whatever version there is."""
    del handler.headers["If-Range"]
    servers.good(handler, data)


def test_where_if_range_is_ignored_no_two_versions_are_mixed(secure, get):
    wanted = entry(secure, checksums=())
    interrupted(secure, get, wanted)
    changed = DATA.replace(b"token", b"TOKEN")
    secure.files["v.txt"], secure.etag = changed, '"version-2"'
    secure.default = careless

    assert get(wanted).path.read_bytes() == changed


def test_credentials_do_not_follow_to_another_host(secure, get, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password pw-1\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with servers.serving("good.pem") as other:
        other.files["v.txt"] = DATA
        secure.answers += [
            servers.redirect("/w.txt"),
            servers.redirect(other.url + "v.txt"),
        ]

        get(entry(secure, checksums=()))

    assert [login is not None for login in secure.logins] == [True, True]
    assert other.logins == [None]
