"""Files on a web server that are read where they are: ``remote+https://``."""

from __future__ import annotations

import gzip
import zipfile
from io import BytesIO

import pytest

import pretrained_embed as pe
from pretrained_embed.errors import OptionError, SourceError
from pretrained_embed.library import Library
from pretrained_embed.sources import open_source
from pretrained_embed.sources.http import Retry
from pretrained_embed.sources.remote import USUAL
from pretrained_embed.sources.stream import OneShot, Stream
from tests import servers
from tests.sources.published import DATA


@pytest.fixture
def remote(secure, waits):
    """Return a function that opens a file of the host where it is."""

    def remote(name: str = "v.txt", **options) -> Stream:
        options.setdefault("retry", Retry(sleep=waits.append))
        library = Library(offline=options.pop("offline", None))
        return library.stream(f"remote+{secure.url}{name}", **options)

    return remote


def all_of(stream: Stream) -> bytes:
    with stream.open() as file:
        return file.readall()


def test_any_range_of_a_file_can_be_read(remote, secure):
    stream = remote()

    assert stream.ranges
    assert stream.path is None
    assert stream.size == len(DATA)
    assert stream.head(100) == DATA[:100]
    assert all_of(stream) == DATA
    with stream.open(5000, 6000) as file:
        assert file.read(1000) == DATA[5000:6000]
    assert all(span is not None for _, span in secure.asked)


def test_of_a_range_no_more_is_asked_for_than_the_rest_of_a_row(remote, secure):
    stream = remote()
    secure.asked.clear()

    with stream.open(5000, 6000) as file:
        file.read(10)

    assert secure.asked[0] == ("v.txt", f"bytes=5000-{6000 + (1 << 14) - 1}")
    assert len(secure.asked) == 2  # and one byte, to see that it is still that file


def test_the_head_is_asked_for_once(remote, secure):
    stream = remote()
    secure.asked.clear()

    assert stream.head(60_000) == DATA[:60_000]
    assert secure.asked == []  # it was seen when looking for a compression
    assert stream.head(1 << 20) == stream.head(1 << 21) == DATA
    assert secure.asked == [("v.txt", f"bytes={USUAL.first}-{len(DATA) - 1}")]


def test_what_is_known_goes_into_the_provenance(remote, secure):
    stream = remote()

    assert stream.address == f"remote+{secure.url}v.txt"
    assert stream.provenance == {
        "source": f"remote+{secure.url}v.txt",
        "name": "v.txt",
        "url": f"remote+{secure.url}v.txt",
        "size": len(DATA),
        "version": '"version-1"',
    }


def test_packed_files_are_read_as_everywhere(remote, secure):
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("in/v 1.txt", DATA)
        file.writestr("other", b"")
    secure.files["a.zip"] = archive.getvalue()
    secure.files["v.gz"] = gzip.compress(DATA)

    packed, member = remote("v.gz"), remote("a.zip#in/v 1.txt")

    assert all_of(packed) == all_of(member) == DATA
    assert packed.address == f"remote+{secure.url}v.gz"
    assert member.address == f"remote+{secure.url}a.zip#in/v 1.txt"


@pytest.mark.parametrize("prefix", [b"", b"MZ" * 50_000])
def test_one_file_in_a_zip_of_a_finder_or_behind_a_program(prefix, remote, secure):
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("__MACOSX/in/._v.txt", "in/.DS_Store", "in/README.md"):
            file.writestr(name, b"?")
        file.writestr("in/v.txt", DATA)
    secure.files["a.zip"] = secure.files["a.bin"] = prefix + archive.getvalue()

    assert all_of(remote("a.zip")) == DATA
    assert all_of(remote("a.bin#in/v.txt")) == DATA


@pytest.mark.parametrize(
    "answer", [servers.without_ranges, servers.chunked], ids=lambda a: a.__name__
)
def test_a_host_without_ranges_is_read_from_front_to_back(remote, secure, answer):
    secure.default = answer

    stream = remote()

    assert not stream.ranges
    assert all_of(stream) == DATA


@pytest.mark.parametrize(
    ("whole", "answer"),
    [
        (servers.without_ranges, servers.cut_without_ranges(50_000)),
        (servers.chunked, servers.cut_chunked),
    ],
    ids=["length", "chunked"],
)
def test_a_host_without_ranges_that_hangs_up_is_no_end_of_file(
    remote, secure, whole, answer
):
    secure.answers += [whole, answer]  # the first looks what is there

    with pytest.raises(SourceError, match="download the file first"):
        all_of(remote())


@pytest.mark.parametrize("more", [-5, 5])
def test_chunks_of_another_length_than_was_said_are_no_whole_file(remote, secure, more):
    secure.default = servers.chunked_of_length(more)

    with pytest.raises(SourceError, match="download the file first"):
        all_of(remote())


def test_a_host_that_says_no_length_and_has_no_ranges_is_refused(remote, secure):
    secure.default = servers.without_length

    with pytest.raises(SourceError, match="does not say how long the file is"):
        remote()


def change(host):
    host.etag = '"version-2"'


def careless(handler: servers.Handler, data: bytes) -> None:
    """Send the range of whatever version there is."""
    del handler.headers["If-Range"]
    servers.good(handler, data)


@pytest.mark.parametrize("answer", [servers.good, careless])
def test_a_file_that_changes_while_it_is_read_is_an_error(remote, secure, answer):
    stream = remote()
    change(secure)
    secure.default = answer

    with pytest.raises(SourceError, match="was changed while it was read"):
        all_of(stream)


@pytest.mark.parametrize("etag", [None, 'W/"version-1"', '"not closed'])
def test_where_a_host_names_no_versions_the_file_is_read_in_one_answer(
    remote, secure, etag
):
    secure.etag = etag
    stream = remote()
    assert isinstance(stream, OneShot)
    assert stream.address is None  # nobody else is to read another version

    secure.asked.clear()
    assert stream.head(100) == DATA[:100]
    secure.files["v.txt"] = b"new" * len(DATA)

    assert all_of(stream) == DATA
    assert secure.asked == []  # it was the answer that the head was seen in


def test_where_a_host_names_no_versions_no_two_are_mixed(secure):
    old = "".join(f"t{n} 1 1\n" for n in range(40_000)).encode()
    secure.etag, secure.files["v.txt"] = None, old
    vocabulary = pe.Vocabulary([f"t{n}" for n in range(40_000)], pad=None)

    def publish(handler: servers.Handler, data: bytes) -> None:
        """Answer with the file of now, which is another one from then on."""
        secure.files["v.txt"] = data.replace(b" 1 1", b" 2 2")
        servers.good(handler, data)

    secure.answers += [servers.good, publish]  # the first looks what is there
    url = f"remote+{secure.url}v.txt"
    matrix = pe.build_matrix(vocabulary, url)

    assert (matrix.vectors == 1).all()


def test_a_host_without_ranges_gives_the_same_version_each_time(remote, secure):
    secure.default = servers.versions_without_ranges
    stream = remote()
    assert isinstance(stream, Stream)
    assert all_of(stream) == DATA
    change(secure)

    with pytest.raises(SourceError, match="was changed while it was read"):
        all_of(stream)


def test_a_change_after_the_last_range_is_seen_too(remote, secure):
    stream = remote()

    file = stream.open()
    file.readall()
    change(secure)

    with pytest.raises(SourceError, match="was changed while it was read"), file:
        """Nothing more is read."""


@pytest.mark.parametrize(
    "answer",
    [servers.status(503), servers.silent, servers.cut(1000), servers.short_by(9)],
    ids=["busy", "silent", "cut", "short"],
)
def test_a_host_that_fails_is_asked_again(remote, secure, waits, answer):
    stream = remote()
    with stream.open(1000, 2000) as file:
        secure.answers.append(answer)
        assert file.read(1000) == DATA[1000:2000]

    assert waits


def test_a_host_that_asks_for_time_gets_it(remote, secure, waits):
    secure.answers.append(servers.status(429, Retry_After="7"))

    assert remote().head(10) == DATA[:10]
    assert waits == [7.0]


def test_a_host_that_goes_on_failing_is_given_up(remote, secure, waits):
    stream = remote()
    secure.default = servers.status(500)

    with pytest.raises(SourceError, match=r"v\.txt: cannot be read: .* answers 500"):
        all_of(stream)
    assert waits[:3] == [0.5, 1.0, 2.0]


def endless(handler: servers.Handler, data: bytes) -> None:
    """Send all from the first byte that is asked for."""
    wanted = handler.headers["Range"].partition("-")[0]
    del handler.headers["Range"]
    handler.headers["Range"] = f"{wanted}-"
    servers.good(handler, data)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (servers.status(404), "the host answers 404"),
        (servers.status(403), "the host answers 403"),
        (servers.other_bytes(b"<!DOCTYPE html>"), "sends a web page"),
        (servers.other_span, "sends another part"),
        (endless, "sends more than it was asked for"),
    ],
    ids=["missing", "denied", "page", "span", "more"],
)
def test_a_file_that_is_not_there_is_an_error(remote, secure, answer, message):
    secure.default = answer

    with pytest.raises(SourceError, match=message):
        remote().head(10)


def test_plain_http_is_refused(host):
    with pytest.raises(SourceError, match="plain http"):
        open_source(f"remote+{host.url}v.txt")

    assert host.asked == []


def test_a_way_that_leads_to_plain_http_is_not_taken(remote, secure, host):
    secure.default = servers.redirect(host.url + "v.txt")

    with pytest.raises(SourceError, match="leads to plain http"):
        remote()


def test_a_certificate_that_cannot_be_trusted_is_an_error():
    with servers.serving("good.pem") as host:
        host.files["v.txt"] = DATA
        with pytest.raises(SourceError, match="certificate"):
            open_source(f"remote+{host.url}v.txt")


def test_offline_no_host_is_asked(remote, secure, monkeypatch):
    with pytest.raises(SourceError, match="the network is off"):
        remote(offline=True)
    monkeypatch.setenv("PRETRAINED_EMBED_OFFLINE", "1")
    with pytest.raises(SourceError, match="the network is off"):
        remote()

    assert secure.asked == []


def test_a_password_in_a_url_is_refused_and_not_repeated():
    with pytest.raises(SourceError, match="password") as caught:
        open_source("remote+https://me:secret@example.org/v.txt")

    assert "secret" not in str(caught.value)


def test_what_is_read_where_it_is_cannot_be_fetched():
    with pytest.raises(OptionError, match="is read where it is"):
        Library().fetch("remote+https://example.org/v.txt")
