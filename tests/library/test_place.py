"""Two things never share a name in the cache, and one is found again as itself."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

import pytest

from pretrained_embed.errors import SourceError
from pretrained_embed.library.cache_folder import identity, label, place
from pretrained_embed.library.catalog import Checksum, Download, Entry, entry_of_url
from pretrained_embed.library.published import mark_of
from pretrained_embed.sources.url import Url, canonical
from tests.rights import read_only
from tests.sources.published import DATA, entry, left

ROOT = Path("root")
DIGEST = (Checksum("md5", "file", "0" * 32),)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("https://host.example/a/glove.6B.zip", "glove.6B.zip"),
        ("https://host.example/v.gz?dl=1", "v.gz"),
        ("https://host.example/a%2Fb/W%2BC.gz", "W+C.gz"),
        ("https://host.example/", "download"),
        ("in/v.txt", "v.txt"),
        ("..", "_"),
        ("../../v", "v"),
        (".v.txt. ", "v.txt"),
        ("C:\\v", "C%3A%5Cv"),
        ("x" * 300, "x" * 100),
        ("a/" + "詞" * 30 + ".txt", quote("詞" * 10) + ".txt"),
        ("NUL.txt", "_NUL.txt"),
        ("com1", "_com1"),
        ("command.txt", "command.txt"),
    ],
)
def test_labels_are_names_on_every_system(name, expected):
    assert label(name) == expected


def names(member, url="https://a.example/a.zip"):
    return place(ROOT, Download((url,)), member).names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x" * 200 + "/v.txt", "y" * 200 + "/v.txt"),
        ("詞" * 40 + "甲.txt", "詞" * 40 + "乙.txt"),
        ("甲" + "詞" * 100, "乙" + "詞" * 100),
        (".v.txt", "v.txt"),
        ("v.txt", "v.txt.json"),
        ("v.txt", "v.txt.part"),
        ("v.txt", "V.TXT"),
        ("v.txt", None),
        ("a/v.txt", "b/v.txt"),
        ("a/v.txt", "a%2Fv.txt"),
        ("v.txt", "v.txt "),
    ],
)
def test_members_never_share_a_name(one, other):
    first, second = names(one), names(other)

    assert first[1].lower() != second[1].lower()
    for folder, file in (first[1:], second[1:]):
        assert folder[-33] == "-"
        assert folder[-32:] == folder[-32:].lower()
        assert max(len(f"{file}.zipped.part.json"), len(folder)) < 200
        assert not file.startswith(".")


def test_one_file_has_one_place_however_it_is_asked_for():
    here = Download(("https://a.example/v.gz",), DIGEST)
    there = Download(("https://b.example/v.gz",), DIGEST)
    first = Download(("https://a.example/v.gz", "https://c.example/v.gz"))
    spelled = Download(("HTTPS://A.Example:443/x/../%76.gz",))
    signed = Download(("https://a.example/v.gz?sig=one",))
    again = Download(("https://a.example/v.gz?sig=two",))

    assert place(ROOT, here) == place(ROOT, there)
    assert place(ROOT, first) == place(ROOT, spelled) != place(ROOT, here)
    assert place(ROOT, signed) == place(ROOT, again) != place(ROOT, first)
    assert identity(here) == ("md5:" + "0" * 32, None)
    assert identity(spelled, "v") == ("https://a.example/v.gz", "v")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://h.example", "https://h.example/"),
        ("HTTP://U.example:80/%c3%a9", "http://u.example/%C3%A9"),
        ("https://h.example:8443/./a/%2e%2E/b?x=%7e", "https://h.example:8443/b?x=~"),
        ("https://[::1]:443/v", "https://[::1]/v"),
        ("https://h.example/a%2fb?u=A&t=B", "https://h.example/a%2Fb?u=A&t=B"),
        ("https://h.example/v?token=secret", "https://h.example/v?token=..."),
    ],
)
def test_spellings_of_a_url_that_mean_the_same(text, expected):
    assert canonical(Url(text)) == expected


def zipped(**members: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return made.getvalue()


LONG = "詞" * 30
MEMBERS = {
    f"甲{LONG}.txt": b"first 1 2\n",
    f"乙{LONG}.txt": b"second 1 2\n",
    ".v.txt": b"hidden 1 2\n",
    "v.txt": DATA,
    "v.txt.json": b"json 1 2\n",
    "v.txt.part": b"part 1 2\n",
    "V.TXT": b"upper 1 2\n",
}


def test_every_member_is_itself(secure, get):
    secure.files["a.zip"] = zipped(**MEMBERS)
    url = secure.url + "a.zip#"

    for _ in range(2):
        for name, data in MEMBERS.items():
            assert get(entry_of_url(url + quote(name))).path.read_bytes() == data


def former_folder(root, start, text) -> Path:
    mark = blake2b(text.encode(), digest_size=4).hexdigest()
    folder = root / "downloads" / f"{start}-{mark}"
    folder.mkdir(parents=True)
    return folder


def put_formerly(folder, name, data, source, published=None) -> Path:
    """Put a file where releases before this put it, with its record."""
    path = folder / name
    path.write_bytes(data)
    known = {
        "source": source,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "mtime_ns": path.stat().st_mtime_ns,
        "published": published,
    }
    path.with_name(f"{name}.json").write_text(json.dumps(known, indent=1))
    return path


@pytest.mark.parametrize("writable", [True, False])
def test_what_an_earlier_release_put_elsewhere_is_found(
    secure, get, tmp_path, writable
):
    root = tmp_path / "cache"
    url = secure.url + "v.txt"
    path = put_formerly(former_folder(root, "v.txt", url), "v.txt", DATA, url)
    wanted = entry_of_url(url)
    state = mark_of(wanted, root).state

    if writable:
        got = get(wanted)
        assert got.path == place(root, wanted.download()).path
        assert left(tmp_path) == ["v.txt", "v.txt.json"]
        assert not path.parent.exists()
        assert got.record.identity == identity(wanted.download())
    else:
        with read_only(root):
            assert get(wanted).path == path
    assert secure.asked == []
    assert state == mark_of(wanted, root).state == [hashlib.sha256(DATA).hexdigest()]


def test_what_an_earlier_release_got_of_something_else_is_not_taken(
    secure, get, tmp_path
):
    """The folder's name, of 32 bits, and the cut name of a member are the same."""
    first, second = list(MEMBERS)[:2]
    secure.files["a.zip"] = zipped(**MEMBERS)
    url = secure.url + "a.zip"
    root = tmp_path / "cache"
    folder = former_folder(root, "a.zip", url)
    cut = quote(first)[-150:]
    assert cut == quote(second)[-150:]
    put_formerly(folder, cut, MEMBERS[first], f"{url}#{first}")
    other = former_folder(root, "v.txt", secure.url + "v.txt")
    put_formerly(other, "v.txt", b"wrong", "https://elsewhere.example/v.txt")

    got = get(entry_of_url(f"{url}#{quote(second)}"))
    plain = get(entry_of_url(secure.url + "v.txt"))

    assert got.path.read_bytes() == MEMBERS[second]
    assert plain.path.read_bytes() == DATA
    asked = len(secure.asked)
    assert (
        get(entry_of_url(f"{url}#{quote(first)}")).path.read_bytes() == b"first 1 2\n"
    )
    assert len(secure.asked) == asked


@pytest.mark.parametrize("name", [".v.txt", "v.txt.json", "v.txt.part"])
def test_what_an_earlier_release_kept_of_one_member_is_no_other(
    secure, get, tmp_path, name
):
    secure.files["a.zip"] = zipped(**MEMBERS)
    url = secure.url + "a.zip"
    folder = former_folder(tmp_path / "cache", "a.zip", url)
    put_formerly(folder, "v.txt", DATA, f"{url}#v.txt")
    (folder / "v.txt.part").write_bytes(b"half")

    assert get(entry_of_url(f"{url}#{name}")).path.read_bytes() == MEMBERS[name]


def test_a_name_in_a_record_stands_for_what_the_catalog_says(
    secure, get, tmp_path, monkeypatch
):
    url = secure.url + "v.txt"
    catalog = tmp_path / "catalog.json"
    known = {"schema": 1, "entries": [{"id": "named", "urls": [url]}]}
    catalog.write_text(json.dumps(known))
    monkeypatch.setenv("PRETRAINED_EMBED_CATALOG", str(catalog))
    folder = former_folder(tmp_path / "cache", "v.txt", url)
    put_formerly(folder, "v.txt", DATA, "named")

    assert get(entry_of_url(url)).path.read_bytes() == DATA
    assert secure.asked == []


def test_a_move_that_was_killed_is_gone_on_with(secure, get, tmp_path, monkeypatch):
    root = tmp_path / "cache"
    url = secure.url + "a.zip"
    wanted = entry_of_url(f"{url}#.v.txt")
    data = MEMBERS[".v.txt"]
    folder = former_folder(root, "a.zip", url)
    path = put_formerly(folder, "v.txt", data, wanted.id)
    here = place(root, wanted.download(), wanted.member).path
    here.parent.mkdir()
    path.with_name("v.txt.json").rename(here.with_name(f"{here.name}.json"))

    assert get(wanted).path == here
    assert here.read_bytes() == data
    assert secure.asked == []
    assert not folder.exists()


@pytest.mark.parametrize("published", [True, False])
def test_a_file_placed_by_hand_where_it_once_belonged_is_verified(
    secure, get, tmp_path, published
):
    wanted = entry(secure) if published else entry_of_url(secure.url + "v.txt")
    text = wanted.checksums[0].value if published else secure.url + "v.txt"
    folder = former_folder(tmp_path / "cache", "v.txt", text)
    (folder / "v.txt").write_bytes(DATA)

    assert get(wanted).path.read_bytes() == DATA
    assert secure.asked == []


def test_what_is_recorded_is_compared_before_it_is_used(secure, get, tmp_path):
    secure.files["w.txt"] = b"other 1 2\n"
    one, other = (entry_of_url(secure.url + name) for name in ("v.txt", "w.txt"))
    folders = [get(wanted).path.parent for wanted in (one, other)]
    shutil.rmtree(folders[1])
    folders[0].rename(folders[1])
    for path in list(folders[1].iterdir()):
        path.rename(path.with_name(path.name.replace("v.txt", "w.txt")))

    with pytest.raises(SourceError, match="is recorded as another file, that of"):
        get(other)


def test_two_members_come_out_of_one_download(secure, get, tmp_path):
    """Of a host that gives no ranges the archive is kept, once for all members."""
    from tests import servers

    secure.files["a.zip"] = zipped(**MEMBERS)
    secure.default = servers.without_ranges
    wanted = [Entry(name, (secure.url + "a.zip",), member=name) for name in MEMBERS]

    for one in wanted:
        assert get(one).path.read_bytes() == MEMBERS[one.id]

    assert sum(span is None for _, span in secure.asked) == 1
    assert replace(wanted[0], id="x").download() == wanted[1].download()
