"""One member of an archive on a host, with and without the host's help."""

import hashlib
import io
import zipfile

import pytest

from pretrained_embed.errors import SourceError
from pretrained_embed.library.cache_folder import place
from pretrained_embed.library.catalog import Checksum, Entry
from pretrained_embed.library.published import fetch_entry
from pretrained_embed.sources import remote_zip
from pretrained_embed.sources.http import Retry
from tests import servers

DATA = b"".join(b"token%d %d.5 -1e-3\n" % (i, i * 7919 % 1000) for i in range(20000))
OTHER = hashlib.sha256(b"seed").digest() * 20000  # compresses to little, is large


def archive(*, method=zipfile.ZIP_DEFLATED, comment=b"", fill=300_000) -> bytes:
    """Return a zip of three members; those around the wanted one are incompressible."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        noise = hashlib.shake_256(b"noise").digest(fill)
        made.writestr("in/before.txt", noise)
        made.writestr("in/v.txt", DATA)
        made.writestr("in/after.txt", noise)
        made.comment = comment
    return file.getvalue()


def checksum(data: bytes, of: str) -> Checksum:
    return Checksum("sha256", of, hashlib.sha256(data).hexdigest(), "the test")


@pytest.fixture
def host():
    with servers.serving() as host:
        host.files["a.zip"] = archive()
        yield host


@pytest.fixture
def get(tmp_path):
    def get(wanted, **options):
        retry = Retry(sleep=lambda _: None)
        return fetch_entry(
            wanted,
            tmp_path / "cache",
            retry=retry,
            **({"offline": False} | options),
        )

    return get


def entry(host, *names, checksums=None, member="in/v.txt", **facts) -> Entry:
    if checksums is None:
        data = host.files["a.zip"]
        checksums = (checksum(data, "file"), checksum(DATA, "member"))
    urls = tuple(host.url + name for name in names or ("a.zip",))
    return Entry(
        "v", urls, checksums=checksums, member=member, container="zip", **facts
    )


def left(tmp_path) -> list[str]:
    return sorted(
        path.name
        for path in (tmp_path / "cache" / "downloads").glob("*/*")
        if path.name != ".lock"
    )


def bytes_asked(host) -> int:
    """Return how many bytes the Range requests asked for."""
    total = 0
    for _, span in host.asked:
        first, _, last = (
            (span or "bytes=0-99999999").removeprefix("bytes=").partition("-")
        )
        total += int(last) - int(first) + 1 if first else int(last)
    return total


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]
)
def test_only_the_member_is_downloaded(method, host, get, tmp_path):
    data = host.files["a.zip"] = archive(method=method)
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        packed = made.getinfo("in/v.txt").compress_size

    fetched = get(entry(host))

    assert fetched.path.read_bytes() == DATA
    assert fetched.record.sha256 == hashlib.sha256(DATA).hexdigest()
    assert left(tmp_path) == ["v.txt", "v.txt.json"]
    assert bytes_asked(host) <= packed + 66_000
    assert get(entry(host)) == fetched


@pytest.mark.parametrize("ranges", [True, False])
def test_an_archive_behind_a_program_is_one(ranges, host, get, tmp_path):
    host.files["a.zip"] = b"MZ" * 100_000 + archive()
    if not ranges:
        host.default = servers.without_ranges

    assert get(entry(host)).path.read_bytes() == DATA


@pytest.mark.parametrize("size", [22, 100, 5000])
def test_a_directory_of_any_length_is_read(size, host, get, monkeypatch):
    monkeypatch.setattr(remote_zip, "_TAIL", size)
    host.files["a.zip"] = archive(comment=b"c" * 200)

    assert get(entry(host)).path.read_bytes() == DATA


def test_the_first_and_the_last_member_are_found(host, get):
    noise = hashlib.shake_256(b"noise").digest(300_000)
    for member in ("in/before.txt", "in/after.txt"):
        sums = (checksum(noise, "member"),)

        assert (
            get(entry(host, checksums=sums, member=member)).path.read_bytes() == noise
        )


def test_a_host_without_ranges_sends_the_whole_archive_once(host, get, tmp_path):
    host.default = servers.without_ranges

    fetched = get(entry(host))
    noise = checksum(hashlib.shake_256(b"noise").digest(300_000), "member")
    sums = (checksum(host.files["a.zip"], "file"), noise)
    get(entry(host, checksums=sums, member="in/after.txt"))

    assert fetched.path.read_bytes() == DATA
    assert len(host.asked) == 2  # the attempt to get a part, and the archive
    assert left(tmp_path) == [
        "a.zip",
        "a.zip.json",
        "after.txt",
        "after.txt.json",
        "v.txt",
        "v.txt.json",
    ]


def test_without_a_checksum_of_the_member_that_of_the_archive_decides(host, get):
    sums = (checksum(host.files["a.zip"], "file"),)

    assert get(entry(host, checksums=sums)).path.read_bytes() == DATA
    assert [span for _, span in host.asked] == [None]


def test_a_damaged_directory_is_found_out_by_the_checksum_of_the_whole(host, get):
    good = host.files["a.zip"]
    wanted = entry(host)
    host.files["a.zip"] = good[:-30] + bytes(30)

    with pytest.raises(SourceError, match="the content is wrong"):
        get(wanted)

    host.files["a.zip"] = good
    assert get(wanted).path.read_bytes() == DATA


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_found_out(method, host, get, tmp_path):
    data = bytearray(archive(method=method))
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        data[made.getinfo("in/v.txt").header_offset + 500] ^= 1
    host.files["a.zip"] = bytes(data)

    with pytest.raises(SourceError, match=r"Bad CRC|Error -3"):
        get(entry(host, checksums=(checksum(DATA, "member"),)))

    assert not [name for name in left(tmp_path) if name.startswith("in%2F")]


def test_a_member_with_a_good_crc_and_wrong_content_is_refused(host, get, tmp_path):
    sums = (checksum(DATA + b"x", "member"),)

    with pytest.raises(SourceError, match="the content is wrong"):
        get(entry(host, checksums=sums))

    assert left(tmp_path) == []


def test_an_archive_without_the_member_is_named(host, get):
    with pytest.raises(SourceError, match=r"no member 'x'; it holds: in/before\.txt"):
        get(entry(host, member="x"))


def test_the_next_url_serves_where_the_first_has_another_archive(host, get):
    sums = (checksum(DATA, "member"),)
    host.files["b.zip"] = host.files["a.zip"]
    with zipfile.ZipFile(file := io.BytesIO(), "w") as other:
        other.writestr("in/v.txt", b"a 1\n")
    host.files["a.zip"] = file.getvalue()

    assert get(entry(host, "a.zip", "b.zip", checksums=sums)).path.read_bytes() == DATA


def test_an_interrupted_member_goes_on_where_it_was(host, get, tmp_path):
    def progress(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(entry(host), progress=progress)
    (part,) = (tmp_path / "cache").rglob("*.part")
    size = part.stat().st_size
    before = len(host.asked)

    assert get(entry(host)).path.read_bytes() == DATA
    spans = [span.removeprefix("bytes=") for _, span in host.asked]
    start = int(spans[before - 1].partition("-")[0])
    # The last bytes of the archive tell what is in it; then comes what is missing,
    # which is nothing where the whole member had come before the interrupt.
    asked = [span.partition("-")[0] for span in spans[before:]]
    assert asked[-1] in ("", str(start + size))


def test_an_archive_that_changes_on_the_way_is_not_mixed(host, get):
    data = host.files["a.zip"]

    def change(handler, _):
        servers.good(handler, data)
        host.files["a.zip"], host.etag = archive(fill=200_000), '"version-2"'

    host.answers.append(change)
    sums = (checksum(DATA, "member"),)

    assert get(entry(host, checksums=sums)).path.read_bytes() == DATA


def test_a_passing_fault_while_the_directory_is_read_is_mended(host, get):
    host.answers += [servers.status(500), servers.cut(10)]

    assert get(entry(host)).path.read_bytes() == DATA
    assert None not in [span for _, span in host.asked]


def test_a_directory_too_large_to_be_true_is_not_read(host, get, monkeypatch):
    monkeypatch.setattr(remote_zip, "_LARGEST_READ", 30)
    monkeypatch.setattr(remote_zip, "_TAIL", 40)

    assert get(entry(host)).path.read_bytes() == DATA
    assert host.asked[-1] == ("a.zip", None)


def test_a_host_that_sends_other_parts_is_asked_for_the_whole(host, get, monkeypatch):
    monkeypatch.setattr(remote_zip, "_TAIL", 22)
    host.answers += [servers.good, servers.other_span]

    assert get(entry(host)).path.read_bytes() == DATA
    assert host.asked[-1] == ("a.zip", None)


def test_plain_http_needs_a_checksum_of_what_comes(host, get):
    with pytest.raises(SourceError, match="plain http"):
        get(entry(host, checksums=()))


def test_an_archive_placed_by_hand_serves_offline(host, get, tmp_path):
    wanted = entry(host)
    path = place(tmp_path / "cache", wanted.download()).path
    path.parent.mkdir(parents=True)
    path.write_bytes(host.files["a.zip"])

    assert get(wanted, offline=True).path.read_bytes() == DATA
    assert host.asked == []


def test_a_wrong_member_of_a_right_archive_is_our_error(host, get):
    sums = (checksum(host.files["a.zip"], "file"), checksum(b"x", "member"))
    host.default = servers.without_ranges

    with pytest.raises(SourceError, match=r"a\.zip#in/v\.txt: the content is wrong"):
        get(entry(host, checksums=sums))


def test_a_member_of_a_tar_comes_with_the_whole_archive(host, get, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as made:
        info = tarfile.TarInfo("in/v.txt")
        info.size = len(DATA)
        made.addfile(info, io.BytesIO(DATA))
        made.addfile(tarfile.TarInfo("in/other.txt"))
    host.files["a.tar.gz"] = data = (tmp_path / "a.tar.gz").read_bytes()
    sums = (checksum(data, "file"), checksum(DATA, "member"))
    url = host.url + "a.tar.gz"
    wanted = Entry("v", (url,), checksums=sums, member="in/v.txt", container="tar.gz")

    assert get(wanted).path.read_bytes() == DATA


def test_an_archive_that_nobody_vouches_for_is_dropped_with_its_wrong_member(
    host, get, tmp_path
):
    wrong = io.BytesIO()
    with zipfile.ZipFile(wrong, "w") as made:
        made.writestr("in/v.txt", b"a 1\n")
    sums = (checksum(DATA, "member"),)
    host.default = servers.without_ranges
    good, host.files["a.zip"] = host.files["a.zip"], wrong.getvalue()

    with pytest.raises(SourceError, match="the content is wrong"):
        get(entry(host, checksums=sums))
    assert left(tmp_path) == []

    host.files["a.zip"] = good
    assert get(entry(host, checksums=sums)).path.read_bytes() == DATA


def test_each_part_is_asked_for_of_the_version_of_the_first(host, get, monkeypatch):
    monkeypatch.setattr(remote_zip, "_TAIL", 100)  # so that there are several parts
    host.files["a.zip"] = archive(comment=b"c" * 300)
    conditions = []

    def noting(handler, data):
        conditions.append(handler.headers["If-Range"])
        servers.good(handler, data)

    host.default = noting

    assert get(entry(host)).path.read_bytes() == DATA
    assert len(conditions) > 2
    assert conditions == [None, *[host.etag] * (len(conditions) - 1)]


def test_where_the_archive_changes_the_parts_of_two_are_not_mixed(host, get):
    new = archive(comment=b"newer")
    sums = (checksum(DATA, "member"),)

    def changing(handler, data):
        servers.good(handler, data)
        host.files["a.zip"], host.etag = new, '"version-2"'

    host.answers.append(changing)

    fetched = get(entry(host, checksums=sums))

    assert fetched.path.read_bytes() == DATA
    assert host.asked[-1][1] is None  # the whole of the new one, after a part of it
