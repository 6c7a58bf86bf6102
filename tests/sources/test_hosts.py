"""Faults of hosts: mended or named."""

import pytest

from pretrained_embed.errors import SourceError
from pretrained_embed.library.catalog import Entry
from pretrained_embed.sources import download
from pretrained_embed.sources.http import Retry
from tests import servers
from tests.sources.published import DATA, entry, left, sha256


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
    (servers.status(302, Location="/v.txt"), "more than 20 redirects", 21),
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


def test_slow_progress_is_progress_and_none_is_not(host, get, waits):
    host.default = servers.cut(50_000)  # each try brings some new bytes

    assert get(entry(host)).path.read_bytes() == DATA
    assert set(waits) == {0.5}


def test_a_drip_is_given_up(host, get):
    host.files["v.txt"] = DATA[:5000]
    host.default = servers.drip(1)
    looks = iter(range(10**6))  # each at the clock takes eight seconds
    # all bytes may come at once where the machine is busy: one look must be enough
    retry = Retry(sleep=lambda _: None, clock=lambda: 8.0 * next(looks), window=1.0)

    with pytest.raises(SourceError, match="too slowly"):
        get(entry(host, checksums=(sha256(DATA[:5000]),)), retry=retry)


def test_a_file_of_another_size_than_published_is_refused_before_it_comes(host, get):
    host.files["v.txt"] = DATA[:200]

    with pytest.raises(SourceError, match="has 200 bytes, not 500"):
        get(entry(host, size=500))


def test_a_small_answer_in_place_of_a_large_file_is_named(host, get):
    host.default = servers.status(200, b"version https://git-lfs.github.com/spec/v1")

    with pytest.raises(SourceError, match="it is a git-lfs pointer"):
        get(entry(host, size=len(DATA)))


def test_a_full_disk_is_found_before_the_download(host, get, monkeypatch, tmp_path):
    monkeypatch.setattr(download, "_SPARE", 1 << 60)

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
