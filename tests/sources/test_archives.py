"""Members of archives."""

import gc
import gzip
import tarfile
import tempfile
import zipfile

import pytest

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.errors import (
    FormatError,
    SourceError,
)
from pretrained_embed.sources import open_source
from tests.sources.packed import DATA, Unseekable, make, read, tarred, zipped


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


LITTER = ["__MACOSX/in/._v.txt", "in/.DS_Store", "in/._v.txt", "Thumbs.db"]
DOCUMENTS = [
    "about.txt",
    "meta.json",
    "train.log",
    ".gitignore",
    "README",
    "in/readme.txt",
    "in/LICENSE",
    "in/Licence.txt",
    "a.md",
    "b.PDF",
]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("first", [True, False])
def test_one_file_is_read_whatever_stands_beside_it(pack, first, tmp_path):
    beside = dict.fromkeys([*LITTER, *DOCUMENTS], b"?")
    own = {"in/v.txt": DATA}
    path = pack(tmp_path / "a", own | beside if first else beside | own)

    stream = open_source(path)

    assert stream.provenance["member"] == "in/v.txt"
    assert read(path) == DATA
    assert read(f"{path}#in/LICENSE") == b"?"


def test_a_file_that_only_its_name_makes_a_document_is_read_alone(tmp_path):
    path = zipped(tmp_path / "a", {"readme.txt": DATA, ".DS_Store": b"?"})

    assert read(path) == DATA


def test_of_two_files_beside_documents_one_has_to_be_named(tmp_path):
    members = {"v.txt": DATA, "w.txt": b"b 2\n", "README": b"?", "__MACOSX/._v": b"?"}
    path = zipped(tmp_path / "a", members)

    with pytest.raises(SourceError, match="holds 3 files; name the one") as caught:
        open_source(path)

    listed = [line.split()[0] for line in str(caught.value).splitlines()[1:]]
    assert listed == [f"{path}#v.txt", f"{path}#w.txt", f"{path}#README"]
    assert read(listed[1]) == b"b 2\n"


def test_an_array_of_what_an_operating_system_adds_makes_no_npz(tmp_path):
    path = zipped(tmp_path / "a", {"v.txt": DATA, "__MACOSX/._x.npy": b"?"})

    assert read(path) == DATA


PREFIXES = {
    "a program": b"MZ" + bytes(range(256)) * 300,
    "a shell script": b"#!/bin/sh\nexec unzip $0\n",
    "text like vectors": b"the 0.5 0.25\n",
    "more than the end that is looked at": b"x" * 200_000,
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_zip_behind_other_bytes_is_a_zip(prefix, tmp_path):
    path = zipped(tmp_path / "vectors", {"in/v.txt": DATA, "README": b"?"})
    path.write_bytes(PREFIXES[prefix] + path.read_bytes())

    assert read(path) == DATA
    assert read(f"{path}#in/v.txt") == DATA
    with path.open("rb") as handle:
        assert read(handle) == DATA


def test_a_zip_behind_other_bytes_may_have_a_comment_or_be_a_zip64(
    tmp_path, monkeypatch
):
    path = tmp_path / "vectors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("v.txt", DATA)
        archive.comment = b"x" * 60_000
    path.write_bytes(b"?" * 999 + path.read_bytes())
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 0)
    large = zipped(tmp_path / "large", {"v.txt": DATA})
    monkeypatch.undo()
    assert b"PK\x06\x07" in large.read_bytes()
    large.write_bytes(b"?" * 999 + large.read_bytes())

    assert read(large) == DATA
    assert read(path) == DATA


def test_what_ends_almost_as_a_zip_is_none(tmp_path):
    path = zipped(tmp_path / "a.zip", {"v.txt": DATA})
    whole = b"?" * 50 + path.read_bytes()
    entries = whole.index(b"PK\x01\x02")
    for wrong in (
        whole + b"\n",
        whole[:-1],
        whole.replace(b"PK\x01\x02", b"PK\x01\x03"),
        whole[entries + 9 :],
        b"the 1 PK\x05\x06",
    ):
        path.write_bytes(wrong)
        assert read(path) == wrong


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

    stream = open_source(f"{path}#member")

    assert stream.fragment == "member"
    assert stream.address == f"{path}#member"
    assert stream.head(9) == b"a 1\n"
    with pytest.raises(SourceError, match="no zip or tar archive"):
        formats.open_reader(stream)


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


def test_a_member_without_a_name_is_passed_over(tmp_path):
    path = zipped(tmp_path / "vectors", {"": b"what?", "v.txt": DATA})

    assert read(path) == DATA


def test_a_member_name_that_is_not_what_it_says_is_damage(tmp_path):
    path = zipped(tmp_path / "vectors", {"é.txt": b"the 1 2\n"})
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))

    with pytest.raises(FormatError, match="damaged"):
        open_source(path)


@pytest.mark.parametrize(
    "member", ["model/archive_format", "serialized_exported_program.json"]
)
def test_a_program_of_torch_export_is_refused_with_lines_that_write_it(
    member, tmp_path
):
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "pt2")
        archive.writestr("model/data/weights/weight_0", bytes(48))
        archive.writestr("serialized_state_dict.pt", bytes(48))

    with pytest.raises(SourceError, match=r"torch\.export\.load\(.*\)\.state_dict"):
        pe.open_vectors(path)
