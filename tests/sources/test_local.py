"""Files, folders, pipes and open handles."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pretrained_embed.errors import (
    OptionError,
    SourceError,
    UnknownSourceError,
)
from pretrained_embed.files import reading
from pretrained_embed.sources import fingerprint, open_source, sha256
from tests.rights import asked_for_rights
from tests.sources.packed import DATA, Unseekable, make, read


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


def test_an_unreadable_file_is_our_error(tmp_path):
    path = tmp_path / "v.txt"
    path.touch(0o000)

    with asked_for_rights(), pytest.raises(SourceError, match="cannot be read"):
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


def test_a_text_handle_is_refused(tmp_path):
    with pytest.raises(SourceError, match="'rb'"):
        open_source(io.StringIO("a 1\n"))


def test_a_closed_handle_is_refused():
    handle = io.BytesIO(b"a 1\n")
    handle.close()

    with pytest.raises(SourceError, match="closed"):
        open_source(handle)


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

    monkeypatch.setattr(reading, "PATIENCE", 0.01)
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


def test_a_file_url_is_a_path(tmp_path):
    path = tmp_path / "a b#c.txt"
    path.write_bytes(b"the 1 2\n")

    assert open_source(path.as_uri()).head(3) == b"the"
    assert open_source(f"FILE://localhost{path.as_uri()[7:]}").head(3) == b"the"
    with pytest.raises(SourceError, match="a path on another machine"):
        open_source("file://host/a.txt")
