"""Bytes from files, compressed files, archives, pipes and handles."""

import bz2
import gc
import gzip
import hashlib
import importlib
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrained_embed.errors import (
    FormatError,
    MissingPackageError,
    OptionError,
    SourceError,
    TruncatedError,
    UnknownSourceError,
)
from pretrained_embed.sources import fingerprint, local, open_source, sha256

DATA = b"".join(b"token%d %d.5 -1e-3\n" % (i, i * 7919 % 1000) for i in range(1000))


def read(source) -> bytes:
    with open_source(source).open() as file:
        return file.read()


def zipped(
    path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return path


def tarred(path: Path, members: dict[str, bytes], compression: str = "") -> Path:
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zstd():
    for package in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(package)
        except ImportError:
            continue
    pytest.skip("neither Python 3.14 nor backports.zstd is here to compress with")


def zstd_with_checksum(data: bytes) -> bytes:
    module = zstd()
    flag = module.CompressionParameter.checksum_flag
    return module.compress(data, options={flag: 1})


def make(kind: str, folder: Path) -> Path:
    """Write DATA in some packing, under a name that says nothing about it."""
    path = folder / "vectors"
    if kind.startswith("tar"):
        return tarred(path, {"in/v.txt": DATA}, kind.partition(".")[2])
    if kind.startswith("zip"):
        data = gzip.compress(DATA) if kind == "zip of gz" else DATA
        method = zipfile.ZIP_BZIP2 if kind == "zip by bz2" else zipfile.ZIP_DEFLATED
        return zipped(path, {"in/v.txt": data}, method)
    pack = {
        "plain": bytes,
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": zstd_with_checksum,
    }[kind]
    path.write_bytes(pack(DATA))
    return path


PACKINGS = ["plain", "gz", "bz2", "xz", "zst", "zip", "zip of gz", "zip by bz2", "tar"]
PACKINGS += ["tar.gz", "tar.bz2", "tar.xz"]


@pytest.mark.parametrize("kind", PACKINGS)
def test_every_packing_gives_the_same_bytes_again_and_again(kind, tmp_path):
    stream = open_source(make(kind, tmp_path))

    assert stream.head(10) == DATA[:10]
    for _ in range(2):
        with stream.open() as file:
            assert file.read() == DATA
    assert stream.size in (None, len(DATA))
    assert json.loads(json.dumps(stream.provenance)) == stream.provenance


@pytest.mark.parametrize("kind", PACKINGS)
def test_readinto_fills_a_buffer_of_any_size(kind, tmp_path):
    stream = open_source(make(kind, tmp_path))
    buffer = bytearray(37)
    parts = []

    with stream.open() as file:
        while count := file.readinto(buffer):
            parts.append(bytes(buffer[:count]))

    assert b"".join(parts) == DATA


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst", "zip", "tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_cut_file_is_our_error(kind, share, tmp_path):
    path = make(kind, tmp_path)
    whole = path.read_bytes()
    length = len(DATA) if kind == "tar" else len(whole)  # without the padding of a tar
    path.write_bytes(whole[: int(length * share)])

    with pytest.raises(FormatError, match="vectors"):
        read(path)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_a_cut_compressed_file_is_called_truncated(kind, tmp_path):
    path = make(kind, tmp_path)
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(TruncatedError, match="incomplete"):
        read(path)


@pytest.mark.parametrize("kind", [k for k in PACKINGS if k != "plain"])
@settings(max_examples=30, deadline=None)  # each writes a file
@given(place=st.floats(0.05, 0.95), value=st.integers(0, 255))
def test_a_flipped_byte_gives_the_right_bytes_or_our_error(
    kind, place, value, tmp_path_factory
):
    path = make(kind, tmp_path_factory.mktemp("flip"))
    damaged = bytearray(path.read_bytes())
    damaged[int(place * len(damaged))] = value
    path.write_bytes(damaged)

    try:
        data = read(path)
    except (FormatError, SourceError):
        return
    if kind != "tar":  # which has no checksum of its contents
        assert data == DATA


@pytest.mark.parametrize("kind", ["gz", "tar.gz", "zip", "zip of gz"])
def test_the_standard_library_does_where_isal_is_missing(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "isal.igzip", None)
    path = make(kind, tmp_path)

    assert read(path) == DATA
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FormatError, match="vectors"):
        read(path)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]
)
def test_a_zip_may_be_packed_in_every_usual_way(method, tmp_path):
    path = zipped(tmp_path / "vectors", {"v.txt": DATA, "empty.txt": b""}, method)

    assert read(f"{path}#v.txt") == DATA
    assert read(f"{path}#empty.txt") == b""
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(FormatError, match=r"vectors#v\.txt: the data is damaged"):
        read(f"{path}#v.txt")


def test_a_zip_packed_in_another_way_is_refused_with_a_way_out(tmp_path):
    path = zipped(tmp_path / "vectors", {"v.txt": DATA}, zipfile.ZIP_LZMA)

    with pytest.raises(SourceError, match="packed by method 14; unpack it first"):
        open_source(path)


def test_concatenated_gzip_files_are_read_to_the_end(tmp_path):
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(b"a 1\n") + gzip.compress(b"b 2\n"))

    assert read(path) == b"a 1\nb 2\n"


def test_a_text_that_begins_like_bzip2_is_text(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"BZh 1 2 3\n")

    assert read(path) == b"BZh 1 2 3\n"


def test_zstandard_without_a_package_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "v.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)

    with pytest.raises(MissingPackageError, match=r"pip install backports\.zstd"):
        open_source(path)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_of_several_files_lists_what_to_write(pack, tmp_path):
    path = pack(tmp_path / "a", {"v.50d.txt": b"a 1\n", "v.100d.txt": b"a 2\n"})

    with pytest.raises(SourceError, match="2 files") as caught:
        open_source(path)

    assert f"{path}#v.50d.txt" in str(caught.value)
    assert read(f"{path}#v.100d.txt") == b"a 2\n"
    with pytest.raises(SourceError, match=r"no member 'v\.txt'.*\n.*v\.50d\.txt"):
        open_source(f"{path}#v.txt")


def test_member_names_in_any_script_and_with_marks_are_found(tmp_path):
    path = zipped(tmp_path / "x#y.zip", {"é+?#1.zip/v.txt": b"a 1\n", "b": b""})

    assert read(f"{path}#é+?#1.zip/v.txt") == b"a 1\n"


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_what_an_operating_system_adds_to_an_archive_is_passed_over(pack, tmp_path):
    path = pack(tmp_path / "a", {"__MACOSX/._v": b"?", ".DS_Store": b"?", "v": b"a 1"})

    assert read(path) == b"a 1"


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_without_a_file_is_refused(pack, tmp_path):
    path = tmp_path / "a"
    if pack is tarred:
        with tarfile.open(path, "w") as archive:
            folder = tarfile.TarInfo("folder")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
    else:
        zipped(path, {})

    with pytest.raises(SourceError, match="holds no file"):
        open_source(path)


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../v", "a/../../v", "/etc/v", "C:/v", "..\\v"])
def test_unsafe_member_names_are_refused(pack, name, tmp_path):
    path = pack(tmp_path / "a", {name: b"a 1\n"})

    with pytest.raises(SourceError, match="unsafe name"):
        open_source(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")  # it is what we make on purpose
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_two_members_of_one_name_are_refused(pack, tmp_path):
    path = pack(tmp_path / "a", {"v": b"a 1\n", "w": b"a 2\n"})
    data = path.read_bytes()
    if pack is zipped:
        path.write_bytes(data.replace(b"w", b"v"))
    else:
        pack(path, {"v": b"a 1\n"})
        with tarfile.open(path, "a") as archive:
            info = tarfile.TarInfo("v")
            archive.addfile(info)

    with pytest.raises(SourceError, match="2 members are named 'v'"):
        open_source(f"{path}#v")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind, tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("v.txt")
        info.type = kind
        info.linkname = "/etc/passwd"
        archive.addfile(info)

    with pytest.raises(SourceError, match="a link or a device"):
        open_source(path)


def test_an_encrypted_member_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"v.txt": b"a 1\n"})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # general purpose bit 0 of the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and of the directory
    path.write_bytes(data)

    with pytest.raises(SourceError, match="encrypted"):
        open_source(path)


def test_an_npz_is_passed_on_as_a_file_and_its_member_can_be_named(tmp_path):
    path = zipped(tmp_path / "m.npz", {"vectors.npy": b"npy", "tokens.npy": b"t"})

    assert open_source(path).path == path
    assert read(f"{path}#vectors.npy") == b"npy"


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst", "zip", "zip by bz2"])
def test_a_bomb_is_streamed_within_bounded_memory(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "DATA", bytes(30 << 20))
    path = make(kind, tmp_path)
    assert path.stat().st_size < 100_000
    buffer, total = bytearray(1 << 20), 0

    tracemalloc.start()
    try:
        with open_source(path).open() as file:
            while count := file.readinto(buffer):
                total += count
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert total == 30 << 20
    assert peak < 12 << 20


def test_a_member_that_claims_less_than_it_holds_gives_no_more(tmp_path):
    path = zipped(tmp_path / "a.zip", {"v.txt": DATA})
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(signature) + place
        data[start : start + 4] = (100).to_bytes(4, "little")
    path.write_bytes(data)

    with pytest.raises(FormatError, match="damaged"):
        read(path)


def test_a_member_of_a_file_that_is_no_archive_is_an_error(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a 1\n")

    with pytest.raises(SourceError, match="no zip or tar archive"):
        open_source(f"{path}#member")


def test_a_path_may_be_text_bytes_or_an_object_and_begin_with_a_tilde(
    tmp_path, monkeypatch
):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    for source in (str(path), os.fsencode(path), path, "~/v.txt"):
        assert read(source) == b"a 1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_a_name_that_is_not_utf8_is_read_and_its_provenance_is_json(tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff.txt"
    Path(os.fsdecode(name)).write_bytes(b"a 1\n")

    assert read(name) == b"a 1\n"
    json.dumps(open_source(name).provenance).encode()


def test_a_missing_path_is_an_unknown_source():
    for source in ("no/such/file", "no-such-name", Path("nowhere"), "nul\0"):
        with pytest.raises(UnknownSourceError):
            open_source(source)


def test_a_path_through_a_file_is_an_unknown_source(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(UnknownSourceError):
        open_source(tmp_path / "file" / "v.txt")


def test_a_symbolic_link_in_a_circle_is_named(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    with pytest.raises(SourceError, match="leads back to itself"):
        open_source(loop)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="the superuser may read everything",
)
def test_an_unreadable_file_is_our_error(tmp_path):
    path = tmp_path / "v.txt"
    path.touch(0o000)

    with pytest.raises(SourceError, match="cannot be read"):
        open_source(path)


def test_a_folder_is_handed_on_but_cannot_be_opened(tmp_path):
    stream = open_source(tmp_path)

    assert stream.path == tmp_path
    assert stream.size is None
    assert stream.head(100) == b""
    with pytest.raises(SourceError, match="is a folder"):
        stream.open()


def test_something_else_than_a_source_is_an_option_error():
    with pytest.raises(OptionError, match="not int"):
        open_source(3)


def test_an_open_handle_is_read_from_where_it_stands_and_left_open(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"skip\na 1\n")
    with path.open("rb") as handle:
        handle.readline()
        stream = open_source(handle)

        assert stream.size == 4
        assert stream.head(1) == b"a"
        assert stream.head(100) == b"a 1\n"
        with stream.open() as one, stream.open() as two:
            assert (one.read(1), two.read(1), one.read(), two.read()) == (
                b"a",
                b"a",
                b" 1\n",
                b" 1\n",
            )
        assert not handle.closed


@pytest.mark.parametrize("kind", PACKINGS)
def test_bytes_in_memory_may_be_packed_too(kind, tmp_path):
    data = io.BytesIO(make(kind, tmp_path).read_bytes())

    assert read(data) == DATA


def test_a_text_handle_is_refused(tmp_path):
    with pytest.raises(SourceError, match="'rb'"):
        open_source(io.StringIO("a 1\n"))


def test_a_closed_handle_is_refused():
    handle = io.BytesIO(b"a 1\n")
    handle.close()

    with pytest.raises(SourceError, match="closed"):
        open_source(handle)


class Unseekable:
    """A handle with nothing but read, as network libraries give it."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size):
        return self._file.read(min(size, 1000))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_handle_that_cannot_seek_is_read_once(pack):
    stream = open_source(Unseekable(pack(DATA)))

    assert stream.head(3) == DATA[:3]
    assert stream.head(600) == DATA[:600]
    assert stream.head(5) == DATA[:5]
    with stream.open() as file:
        assert file.read() == DATA
    with pytest.raises(SourceError, match="only once"):
        stream.open()
    with pytest.raises(SourceError, match="only once"):
        stream.head(1)


@pytest.mark.parametrize("kind", ["zip", "zip of gz", "tar", "tar.gz"])
def test_an_archive_that_cannot_seek_is_kept_on_disk_meanwhile(
    kind, tmp_path, monkeypatch
):
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(kept))
    stream = open_source(Unseekable(make(kind, tmp_path).read_bytes()))

    assert stream.head(5) == DATA[:5]
    with stream.open() as file:
        assert file.read() == DATA
    assert len(list(kept.iterdir())) == 1
    del stream, file
    gc.collect()
    assert list(kept.iterdir()) == []


def test_a_zip_within_gzip_is_refused_with_a_way_out(tmp_path):
    path = make("zip", tmp_path)
    path.write_bytes(gzip.compress(path.read_bytes()))

    with pytest.raises(SourceError, match="unpack the outer one"):
        open_source(path)


@pytest.mark.parametrize("kind", ["plain", "gz"])
def test_standard_input_is_read_through_a_pipe(kind, tmp_path):
    program = (
        "import sys; from pretrained_embed.sources import open_source\n"
        "stream = open_source('-'); stream.head(99)\n"
        "sys.stdout.buffer.write(stream.open().read())"
    )
    packed = make(kind, tmp_path).read_bytes()

    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", program],
        input=packed,
        capture_output=True,
        check=True,
    )

    assert done.stdout == DATA


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_read_once_and_one_nobody_writes_to_is_given_up(
    tmp_path, monkeypatch
):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = "import sys; open(sys.argv[1], 'wb').write(b'a 1\\n' * 99999)"
    with subprocess.Popen([sys.executable, "-c", program, str(pipe)]) as writer:
        data = read(pipe)
    assert writer.returncode == 0
    assert data == b"a 1\n" * 99999

    monkeypatch.setattr(local, "PIPE_PATIENCE", 0.01)
    with pytest.raises(SourceError, match="nobody wrote"):
        open_source(pipe)


def test_the_fingerprint_sees_size_and_samples(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(bytes(1 << 20))
    before = fingerprint(path)

    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    changed = fingerprint(path)
    path.write_bytes(bytes((1 << 20) + 1))

    assert len({before, changed, fingerprint(path)}) == 3
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
