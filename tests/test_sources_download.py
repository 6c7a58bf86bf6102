"""Downloads from a host that does everything wrong, and the cache they leave."""

import hashlib
import json
import socket
import zipfile

import pytest

from pretrained_embed.errors import SourceError, UnknownSourceError
from pretrained_embed.sources import cache, fetch, open_source, partial
from pretrained_embed.sources.entry import Checksum, Download, Entry
from pretrained_embed.sources.fetching import (
    entry_of_url,
    fetch_entry,
    fetch_stream,
    place,
    remove,
)
from pretrained_embed.sources.patience import Patience
from tests import servers

DATA = b"".join(b"token%d %d.5 -1e-3\n" % (i, i * 7919 % 1000) for i in range(20000))


def sha256(data: bytes, of: str = "file") -> Checksum:
    return Checksum("sha256", of, hashlib.sha256(data).hexdigest(), "the test")


@pytest.fixture
def host():
    with servers.serving() as host:
        host.files["v.txt"] = DATA
        yield host


@pytest.fixture
def waits():
    """Return the pauses that were made; none of them takes time."""
    return []


@pytest.fixture
def get(tmp_path, waits):
    """Fetch an entry into a cache of this test."""

    def get(entry, **options):
        patience = options.pop("patience", None) or Patience(sleep=waits.append)
        return fetch_entry(
            entry, cache_dir=tmp_path / "cache", patience=patience, **options
        )

    return get


OF_DATA = (sha256(DATA),)


def entry(host, *names, checksums=OF_DATA, **facts) -> Entry:
    urls = tuple(host.url + name for name in names or ("v.txt",))
    return Entry("vectors", urls, checksums=checksums, **facts)


def left(tmp_path) -> list[str]:
    """Return the names of all files in the cache but the tag and the locks."""
    return sorted(
        path.name
        for path in (tmp_path / "cache").rglob("*")
        if path.is_file() and path.name not in ("CACHEDIR.TAG", ".lock")
    )


def test_a_file_is_downloaded_once_and_verified(host, get, tmp_path):
    first = get(entry(host))
    again = get(entry(host))

    assert first == again
    assert first.path.read_bytes() == DATA
    assert first.record.sha256 == sha256(DATA).value
    assert first.record.published == f"sha256:{sha256(DATA).value}"
    assert len(host.asked) == 1
    assert left(tmp_path) == ["v.txt", "v.txt.json"]
    assert (tmp_path / "cache" / "CACHEDIR.TAG").read_text().startswith("Signature: 8a")


BROKEN = [
    servers.cut(0),
    servers.cut(1),
    servers.cut(100_000),
    servers.cut(len(DATA) - 1),
    servers.long_by(5),
    servers.silent,
    servers.cut_chunked,
    servers.status(500),
    servers.status(503, b"busy"),
    servers.status(429, Retry_After="3"),
    servers.status(408),
]


@pytest.mark.parametrize("answer", BROKEN)
def test_a_passing_fault_is_mended_by_asking_again(answer, host, get, waits, tmp_path):
    host.answers.append(answer)

    fetched = get(entry(host))

    assert fetched.path.read_bytes() == DATA
    assert len(waits) <= 2  # the second where a part turns out to be too long
    assert left(tmp_path) == ["v.txt", "v.txt.json"]


LASTING = [
    (servers.status(404, b"<html>"), "answers 404", 1),
    (servers.status(403), "answers 403", 1),
    (servers.status(500), "answers 500", 4),
    (servers.silent, "no answer", 4),
    (servers.cut_without_ranges(1000), "connection", 4),
    (servers.without_ranges, "wrong: sha256", 1),
    (servers.other_bytes(DATA[:-1] + b"x"), "wrong: sha256", 1),
    (servers.status(200, b"<!DOCTYPE html><p>moved"), "a web page instead", 1),
    (
        servers.status(
            200, b"version https://git-lfs.github.com/spec/v1\noid sha256:0"
        ),
        "a git-lfs pointer",
        1,
    ),
    (servers.status(200), "wrong: sha256", 1),
    (servers.status(302, Location="/v.txt"), "redirect", 31),
]


@pytest.mark.parametrize(("answer", "message", "asked"), LASTING)
def test_a_lasting_fault_is_named_and_leaves_nothing_wrong(
    answer, message, asked, host, get, tmp_path
):
    host.default = answer
    if answer is servers.without_ranges:
        host.files["v.txt"] = b"a 1\n"

    with pytest.raises(SourceError, match=message) as caught:
        get(entry(host))

    assert host.url + "v.txt" in str(caught.value)
    assert asked == len(host.asked)
    assert "v.txt" not in left(tmp_path)

    host.default, host.files["v.txt"] = servers.good, DATA
    assert get(entry(host)).path.read_bytes() == DATA
    assert left(tmp_path) == ["v.txt", "v.txt.json"]


def test_the_next_url_serves_where_the_first_does_not(host, get):
    host.files["mirror"] = DATA
    host.answers.append(servers.status(404))

    assert get(entry(host, "v.txt", "mirror")).path.read_bytes() == DATA
    assert [name for name, _ in host.asked] == ["v.txt", "mirror"]


def test_a_dead_host_is_left_for_the_next(host, get):
    with servers.serving() as dead:
        url = dead.url
    wanted = Entry("v", (url + "v.txt", host.url + "v.txt"), checksums=(sha256(DATA),))

    assert get(wanted).path.read_bytes() == DATA


def test_all_urls_are_named_where_none_serves(host, get):
    with pytest.raises(SourceError) as caught:
        get(entry(host, "one", "two"))

    assert "cannot be downloaded" in str(caught.value)
    assert f"{host.url}one: the host answers 404" in str(caught.value)
    assert f"{host.url}two: the host answers 404" in str(caught.value)


def test_pauses_double_and_a_host_may_name_its_own(host, get, waits):
    host.answers += [servers.status(500), servers.status(429, Retry_After="7")]
    host.answers += [servers.status(503)]

    get(entry(host))

    assert waits == [0.5, 7.0, 2.0]


def test_a_host_that_asks_for_too_long_a_pause_is_left(host, get, waits):
    host.default = servers.status(503, Retry_After="86400")

    with pytest.raises(SourceError, match="503"):
        get(entry(host))

    assert waits == []


def test_retry_after_may_be_a_date(host, get, waits):
    host.answers.append(
        servers.status(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    )

    get(entry(host))

    assert waits == [0.0]


def interrupted(host, get, wanted, at=100_000) -> None:
    """Leave a part of ``at`` bytes behind, as Ctrl-C does."""

    def progress(done, total):
        if done >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(wanted, progress=progress)


def test_ctrl_c_leaves_a_part_that_the_next_run_goes_on_with(host, get, tmp_path):
    interrupted(host, get, entry(host))
    assert left(tmp_path) == ["v.txt.part", "v.txt.part.json"]
    size = next((tmp_path / "cache").rglob("*.part")).stat().st_size
    assert 100_000 <= size < len(DATA)

    fetched = get(entry(host))

    assert fetched.path.read_bytes() == DATA
    assert host.asked[-1] == ("v.txt", f"bytes={size}-")
    assert left(tmp_path) == ["v.txt", "v.txt.json"]


def test_a_file_that_changed_meanwhile_starts_over(host, get):
    host.files["v.txt"] = DATA.replace(b"token", b"TOKEN")
    interrupted(host, get, entry(host))
    host.files["v.txt"], host.etag = DATA, '"version-2"'

    assert get(entry(host)).path.read_bytes() == DATA
    assert [span is None for _, span in host.asked] == [True, False]


def test_a_wrong_part_without_a_validator_is_found_out_and_starts_over(host, get):
    host.etag = None
    host.files["v.txt"] = bytes(len(DATA))
    interrupted(host, get, entry(host))
    host.files["v.txt"] = DATA

    assert get(entry(host)).path.read_bytes() == DATA
    assert [span for _, span in host.asked][1:] == [host.asked[1][1], None]


def test_a_part_of_a_file_of_another_length_starts_over(host, get):
    host.etag = None
    host.files["v.txt"] = DATA + b"old 1 2\n"
    interrupted(host, get, entry(host))
    host.files["v.txt"] = DATA

    assert get(entry(host)).path.read_bytes() == DATA
    assert [span is None for _, span in host.asked] == [True, False, True]


def test_a_part_longer_than_the_file_starts_over(host, get, tmp_path):
    host.etag = None
    host.files["v.txt"] = DATA + DATA
    interrupted(host, get, entry(host), at=len(DATA) + 1)
    host.files["v.txt"] = DATA

    assert get(entry(host)).path.read_bytes() == DATA
    assert [span is None for _, span in host.asked] == [True, False, True]


def test_a_part_that_nothing_is_known_of_is_thrown_away(host, get, tmp_path):
    interrupted(host, get, entry(host))
    next((tmp_path / "cache").rglob("*.part.json")).write_text("{")

    assert get(entry(host)).path.read_bytes() == DATA
    assert host.asked[-1] == ("v.txt", None)


def test_a_host_without_ranges_sends_the_whole_file_again(host, get):
    interrupted(host, get, entry(host))
    host.default = servers.without_ranges

    assert get(entry(host)).path.read_bytes() == DATA


def test_a_host_that_sends_another_span_is_not_believed(host, get):
    interrupted(host, get, entry(host))
    host.answers.append(servers.other_span)

    with pytest.raises(SourceError, match="another part"):
        get(entry(host))


def test_slow_progress_is_progress_and_none_is_not(host, get, waits):
    host.default = servers.cut(50_000)  # each try brings some new bytes

    assert get(entry(host)).path.read_bytes() == DATA
    assert set(waits) == {0.5}


def test_a_drip_is_given_up(host, get):
    host.files["v.txt"] = DATA[:200]
    host.default = servers.drip(1)
    hours = iter(range(10**6))
    patience = Patience(sleep=lambda _: None, clock=lambda: next(hours) * 3600.0)

    with pytest.raises(SourceError, match="too slowly"):
        get(entry(host, checksums=(sha256(DATA[:200]),)), patience=patience)


def test_a_file_of_another_size_than_published_is_refused_before_it_comes(host, get):
    host.files["v.txt"] = DATA[:200]

    with pytest.raises(SourceError, match="has 200 bytes, not 500"):
        get(entry(host, size=500))


def test_a_small_answer_in_place_of_a_large_file_is_named(host, get):
    host.default = servers.status(200, b"version https://git-lfs.github.com/spec/v1")

    with pytest.raises(SourceError, match="it is a git-lfs pointer"):
        get(entry(host, size=len(DATA)))


def test_a_full_disk_is_found_before_the_download(host, get, monkeypatch, tmp_path):
    monkeypatch.setattr(partial, "_SPARE", 1 << 60)

    with pytest.raises(SourceError, match="more bytes are needed"):
        get(entry(host))

    assert left(tmp_path) == []


def test_an_answer_without_a_length_is_taken_only_where_its_end_can_be_told(host, get):
    host.default = servers.chunked
    assert get(entry(host)).path.read_bytes() == DATA

    host.default = servers.without_length
    host.files["w.txt"] = DATA[:-1]
    with pytest.raises(SourceError, match="does not say how long"):
        get(entry(host, "w.txt", checksums=(sha256(DATA[:-1]),)))


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


@pytest.fixture
def secure(monkeypatch):
    """Return a host whose certificate is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(servers.TLS / "good.pem"))
    with servers.serving("good.pem") as host:
        host.files["v.txt"] = DATA
        yield host


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
    folder = cache.folder(
        tmp_path / "cache", entry(host, checksums=(other,)).download()
    )
    path.parent.rename(folder)

    with pytest.raises(SourceError, match="the content is wrong: md5"):
        get(entry(host, checksums=(other,)))


def test_a_changed_file_is_never_joined_to_an_old_part(secure, get):
    wanted = entry(secure, checksums=())
    interrupted(secure, get, wanted)
    changed = DATA.replace(b"token", b"TOKEN")
    secure.files["v.txt"], secure.etag = changed, '"version-2"'

    assert get(wanted).path.read_bytes() == changed


def test_resuming_without_a_checksum_needs_a_validator(secure, get):
    wanted = entry(secure, checksums=())
    secure.etag = None
    interrupted(secure, get, wanted)

    assert get(wanted).path.read_bytes() == DATA
    assert secure.asked[-1] == ("v.txt", None)


def test_a_weak_validator_is_none(secure, get):
    wanted = entry(secure, checksums=())
    secure.etag = 'W/"version-1"'
    interrupted(secure, get, wanted)

    assert get(wanted).path.read_bytes() == DATA
    assert secure.asked[-1] == ("v.txt", None)


def test_a_url_is_a_source(secure, tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("in/v 1.txt", DATA)
        file.writestr("other", b"")
    secure.files["a.zip"] = archive.read_bytes()

    options = {"cache_dir": tmp_path / "cache", "offline": False}
    stream = open_source(secure.url + "v.txt", **options)
    member = open_source(secure.url + "a.zip#in/v%201.txt", **options)

    assert stream.head(len(DATA)) == DATA
    assert stream.path.name == "v.txt"
    assert stream.provenance["source"] == secure.url + "v.txt"
    assert member.head(len(DATA)) == DATA
    assert fetch(secure.url + "v.txt", **options) == stream.path


def test_offline_no_socket_is_opened(host, get, monkeypatch, tmp_path):
    def forbidden(*args, **options):
        raise AssertionError("a socket was opened")

    wanted = entry(host)
    monkeypatch.setattr(socket, "socket", forbidden)
    with pytest.raises(SourceError, match="may not be used") as caught:
        get(wanted, offline=True)
    by_hand = str(caught.value).rpartition("by hand as ")[2]
    assert not (tmp_path / "cache").exists()

    monkeypatch.setenv("PRETRAINED_EMBED_OFFLINE", "1")
    with pytest.raises(SourceError, match="may not be used"):
        get(wanted)

    path = place(wanted, cache_dir=tmp_path / "cache")
    assert str(path) == by_hand
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert get(wanted).path == path


def test_a_wrong_file_placed_by_hand_is_refused_and_kept(host, get, tmp_path):
    path = place(entry(host), cache_dir=tmp_path / "cache")
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


def test_a_file_is_the_same_wherever_its_host_moves(host, get):
    host.files["elsewhere/v.txt"] = DATA

    assert get(entry(host)).path == get(entry(host, "elsewhere/v.txt")).path
    assert len(host.asked) == 1


def test_a_second_file_of_tokens_comes_along(host, get):
    host.files["tokens.json"] = b"[]"
    tokens = Download((host.url + "tokens.json",), (sha256(b"[]"),))

    fetched = get(entry(host, tokens=tokens))

    assert fetched.path.read_bytes() == DATA
    assert fetched.tokens_path.read_bytes() == b"[]"


def test_what_is_known_goes_into_the_provenance(host, tmp_path):
    wanted = entry(host, licence="PDDL-1.0", citation="A. Body", title="Vectors")

    stream = fetch_stream(wanted, cache_dir=tmp_path / "cache")

    assert stream.size == len(DATA)
    assert stream.provenance["source"] == "vectors"
    assert stream.provenance["licence"] == "PDDL-1.0"
    assert stream.provenance["citation"] == "A. Body"
    assert stream.provenance["url"] == host.url + "v.txt"
    (digest,) = stream.provenance["digests"]
    assert digest == {
        "algorithm": "sha256",
        "value": sha256(DATA).value,
        "of": "v.txt",
        "by": "published",
    }


def test_progress_tells_bytes_and_their_total(host, get):
    seen = []

    get(entry(host), progress=lambda done, total: seen.append((done, total)))

    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_unknown_name_is_no_download(tmp_path):
    with pytest.raises(UnknownSourceError, match="glove-6b-50d"):
        fetch("glove-6b-50", cache_dir=tmp_path)


def test_the_entry_of_a_url_knows_its_member():
    assert entry_of_url("https://host.example/a.zip#b%20c").member == "b c"
    assert entry_of_url("https://host.example/a.zip").member is None


def test_a_cache_that_may_only_be_read_serves_what_it_has(host, get, monkeypatch):
    fetched = get(entry(host))
    folder = fetched.path.parent
    fetched.path.with_name("v.txt.json").unlink()
    folder.chmod(0o500)
    try:
        again = get(entry(host))
    finally:
        folder.chmod(0o700)

    assert again.path.read_bytes() == DATA
    assert again.record.sha256 == fetched.record.sha256


def test_a_cache_that_cannot_be_made_is_our_error(host, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(SourceError, match="cannot be written"):
        fetch_entry(entry(host), cache_dir=tmp_path / "file" / "cache")

    assert host.asked == []


def test_what_was_fetched_can_be_removed_and_fetched_again(host, get, tmp_path):
    host.files["tokens.json"] = b"[]"
    tokens = Download((host.url + "tokens.json",), (sha256(b"[]"),))
    wanted = entry(host, tokens=tokens)
    get(wanted)

    freed = remove(wanted, cache_dir=tmp_path / "cache")

    assert freed > len(DATA) + 2
    assert left(tmp_path) == []
    assert remove(wanted, cache_dir=tmp_path / "cache") == 0
    assert get(wanted).path.read_bytes() == DATA


def test_a_name_of_ones_own_catalog_is_a_source(host, tmp_path):
    sums = [{"algorithm": "sha256", "of": "file", "value": sha256(DATA).value}]
    mine = {"id": "mine", "urls": [host.url + "v.txt"], "checksums": sums}
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps({"schema": 1, "entries": [mine]}))
    options = {"cache_dir": tmp_path / "cache", "catalog": path}

    stream = open_source("mine", **options)
    again = open_source("mine", **options, offline=True)

    assert stream.name == "mine"
    assert stream.head(len(DATA)) == DATA
    assert again.path == stream.path == fetch("mine", **options)
    assert len(host.asked) == 1
