"""What is believed: certificates, checksums, first use, files placed by hand."""

import socket

import pytest

from pretrained_embed.errors import OptionError, SourceError
from pretrained_embed.library import Library
from pretrained_embed.library.cache_folder import place
from pretrained_embed.library.catalog import Checksum
from pretrained_embed.library.published import by_hand
from tests import servers
from tests.sources.published import DATA, entry, sha256


def test_plain_http_needs_a_published_checksum(host, get, tmp_path):
    with pytest.raises(SourceError, match="plain http, and no published checksum"):
        get(entry(host, checksums=()))

    assert host.asked == []


def test_a_certificate_that_cannot_be_trusted_is_refused(get, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with servers.serving("good.pem") as host:
        host.files["v.txt"] = DATA
        with pytest.raises(SourceError, match="certificate cannot be trusted"):
            get(entry(host))
        assert host.asked == []


def test_an_expired_certificate_is_refused(get, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(servers.TLS / "expired.pem"))
    with servers.serving("expired.pem") as host:
        host.files["v.txt"] = DATA
        with pytest.raises(SourceError, match=r"certificate.*expired"):
            get(entry(host))


def test_https_does_not_lead_to_plain_http_unless_a_checksum_covers_it(
    secure, host, get
):
    secure.default = servers.redirect(host.url + "v.txt")

    with pytest.raises(SourceError, match="leads to plain http"):
        get(entry(secure, checksums=()))
    assert get(entry(secure)).path.read_bytes() == DATA


def test_without_a_published_checksum_the_first_use_vouches(secure, get, tmp_path):
    wanted = entry(secure, checksums=())
    first = get(wanted)
    assert first.record.published is None
    assert first.record.sha256 == sha256(DATA).value

    first.path.unlink()
    secure.files["v.txt"] = DATA + b"new 1 2\n"
    with pytest.raises(SourceError, match="changed since its first use: sha256"):
        get(wanted)

    secure.files["v.txt"] = DATA
    assert get(wanted).path.read_bytes() == DATA


def test_a_checksum_published_later_has_to_be_met_too(host, get, tmp_path):
    path = get(entry(host)).path
    other = Checksum("md5", "file", "0" * 32)
    wanted = entry(host, checksums=(other,)).download()
    there = place(tmp_path / "cache", wanted)
    path.parent.rename(there.parent.path)

    with pytest.raises(SourceError, match="is recorded as another file"):
        get(entry(host, checksums=(other,)))
    there.beside(".json").remove()

    with pytest.raises(SourceError, match="the content is wrong: md5"):
        get(entry(host, checksums=(other,)))


def test_a_wrong_file_placed_by_hand_is_refused_and_kept(host, get, tmp_path):
    ((_, path),) = by_hand(entry(host), tmp_path / "cache")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")

    with pytest.raises(SourceError, match=r"v\.txt: the content is wrong"):
        get(entry(host))

    assert path.read_bytes() == b"mine"


def test_a_file_that_was_touched_is_hashed_again(host, get):
    path = get(entry(host)).path
    path.write_bytes(DATA[:-1] + b"x")

    with pytest.raises(SourceError, match="the content is wrong"):
        get(entry(host))

    path.unlink()
    assert get(entry(host)).path.read_bytes() == DATA


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        *((word, True) for word in ("1", "true", "TRUE", "Yes", "on", " 1 ")),
        *((word, False) for word in ("", "0", "false", "False", "no", "NO", "off")),
    ],
)
def test_the_environment_says_whether_the_network_is_off(monkeypatch, said, meant):
    monkeypatch.setenv("PRETRAINED_EMBED_OFFLINE", said)

    assert Library().is_offline is meant
    assert Library(offline=True).is_offline
    assert not Library(offline=False).is_offline


@pytest.mark.parametrize("said", ["2", "maybe", "flase", "none"])
def test_what_means_nothing_is_no_leave_to_use_the_network(
    secure, tmp_path, monkeypatch, said
):
    monkeypatch.setenv("PRETRAINED_EMBED_OFFLINE", said)

    with pytest.raises(OptionError, match=f"PRETRAINED_EMBED_OFFLINE is '{said}'"):
        Library(tmp_path / "cache").fetch(f"{secure.url}v.txt")

    assert secure.asked == []


def test_offline_no_socket_is_opened(host, get, monkeypatch, tmp_path):
    def forbidden(*args, **options):
        raise AssertionError("a socket was opened")

    wanted = entry(host)
    monkeypatch.setattr(socket, "socket", forbidden)
    with pytest.raises(SourceError, match="may not be used") as caught:
        get(wanted, offline=True)
    told = str(caught.value).rpartition("by hand as ")[2]
    assert not (tmp_path / "cache").exists()

    monkeypatch.setenv("PRETRAINED_EMBED_OFFLINE", "1")
    with pytest.raises(SourceError, match="may not be used"):
        Library(tmp_path / "cache").fetch("https://host.example/v.txt")

    ((url, path),) = by_hand(wanted, tmp_path / "cache")
    assert url == host.url + "v.txt"
    assert str(path) == told
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert get(wanted).path == path
