"""URLs with secrets in them: asked for whole, and never kept or shown so."""

from __future__ import annotations

import json
import pickle
import re
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

import pretrained_embed as pe
from pretrained_embed.errors import SourceError
from pretrained_embed.library import catalog
from pretrained_embed.library.catalog import Entry
from pretrained_embed.sources import open_source
from pretrained_embed.sources.http import Retry
from pretrained_embed.sources.url import Url, public
from tests import servers
from tests.command_line import run
from tests.sources.published import DATA, entry, interrupted, left

SIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F2026&X-Amz-Expires=3600"
    "&X-Amz-Signature=5ec2e7&versionId=3"
)
SHOWN = (
    "X-Amz-Algorithm=...&X-Amz-Credential=...&X-Amz-Expires=...&X-Amz-Signature=..."
    "&versionId=3"
)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("id=3&download=1", "id=3&download=1"),
        (SIGNED, SHOWN),
        ("sv=2024&se=2&sig=S%2Bx%3D&n=1", "sv=...&se=...&sig=...&n=1"),
        ("sv=2024&se=2", "sv=2024&se=2"),  # signed by nothing
        ("Expires=1&Signature=s&n=1", "Expires=...&Signature=...&n=1"),
        ("token=s", "token=..."),
        ("access_token=s&alt=media", "access_token=...&alt=media"),
        ("%74oken=s", "%74oken=..."),
        ("ACCESS-TOKEN=s", "ACCESS-TOKEN=..."),
        ("id=3;sig=s;n=1", "id=3;sig=...;n=1"),
        ("sig=s;s?s&n=1", "sig=...&n=1"),
        ("userPassword=s&api_key=s", "userPassword=...&api_key=..."),
        ("client_secret=s&auth=", "client_secret=...&auth=..."),
        ("key=a.txt", "key=a.txt"),
        ("key=AIza" + "x" * 35, "key=..."),
        ("tokenizer=bert&design=2", "tokenizer=bert&design=2"),
        ("a=1?sig=s", "a=1?sig=..."),
    ],
)
def test_what_signs_a_url_is_not_shown(query, shown):
    whole = f"https://host.example/v.txt?{query}#in/v.txt"
    url = Url(whole)

    assert (
        url
        == str(url)
        == repr(url)[1:-1]
        == f"https://host.example/v.txt?{shown}#in/v.txt"
    )
    assert url.whole == whole
    assert Url(url).whole == whole
    assert pickle.loads(pickle.dumps(url)).whole == whole  # noqa: S301  (our own)
    address, member = url.parted()
    assert (address.whole, member) == (
        f"https://host.example/v.txt?{query}",
        "in/v.txt",
    )
    assert address.with_member("b").whole == f"https://host.example/v.txt?{query}#b"
    assert Url(str(url)) == url


PASSWORDS = [
    "https://me:pw-1@host.example/v.txt",
    "HTTPS://me:pw-1@host.example/v.txt",
    "http://me:pw-1@host.example/v.txt",
    "https://pw-1@host.example/v.txt",  # a token as the name of a user
    "https://:pw-1@host.example/v.txt",
    "https://me:pw-1/x@host.example/v.txt",
    "https://me:pw@-1@host.example/v.txt",
    "https://me%3Apw-1%40host.example/v.txt",
    "https:/me:pw-1@host.example/v.txt",
    "https://host.example/?of=https%3A%2F%2Fme%3Apw-1%40other.example%2Fv.txt",
    "remote+https://me:pw-1@host.example/v.txt",
    "Remote+HTTPS://pw-1@host.example/v.txt",
    "s3://me:pw-1@bucket/v.txt",
    "s3://me:pw-1/x@bucket/v.txt",
    "hf://me:pw-1@gpt2/v.txt",
    "sftp://me:pw-1@host.example/v.txt",
    "file://me:pw-1@host.example/v.txt",
    "simplecache::https://me:pw-1@host.example/v.txt",
    "zip://v.txt::s3://me:pw-1@bucket/v.zip",
    " https://me:pw-1@host.example/v.txt",
    "https://me:pw-1@host.example/v.zip#v.txt",
]


@pytest.mark.parametrize("url", PASSWORDS)
@pytest.mark.parametrize("use", ["stream", "fetch", "open"])
def test_a_password_in_a_url_is_refused_and_not_repeated(url, use, tmp_path):
    with pytest.raises(SourceError, match=r"\.netrc") as caught:
        getattr(pe.Library(tmp_path / "cache"), use)(url)

    assert "pw-1" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_a_password_in_a_url_that_was_made_a_path_is_refused_too():
    with pytest.raises(SourceError, match=r"\.netrc") as caught:
        open_source(Path("https://me:pw-1@host.example/v.txt"))

    assert "pw-1" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "hf://me/gpt2@main/v.txt",
        "abfs://container@account.dfs.core.windows.net/v.txt",
        "sftp://me@host.example/v.txt",
        "s3://arn:aws:s3:us-west-2:123456789012:accesspoint/mine/v@1.txt",
        "https://host.example:8443/v@1:2.txt?at=a:b@c",
        "https://[::1]:8443/v@1.txt",
        "https://web.example/2020/https://host.example/v.txt",
    ],
)
def test_what_looks_like_a_password_and_is_none_is_let_through(url):
    assert Url(url) == url


def test_a_password_in_a_catalog_is_refused_with_its_place(tmp_path):
    mine = {"id": "mine", "urls": ["https://me:pw-1@host.example/v.txt"]}
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps({"schema": 1, "entries": [mine]}))

    with pytest.raises(
        SourceError, match=r"entry 0 \(mine\): 'urls': .*\.netrc"
    ) as caught:
        catalog.read(path)
    assert "pw-1" not in str(caught.value)


def kept(folder: Path) -> bytes:
    """Return all that is in a folder, names of files too."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join([str(path).encode() + path.read_bytes() for path in files])


@pytest.mark.parametrize("direct", [False, True])
def test_a_signature_is_in_nothing_that_is_kept_or_shown(direct, secure, tmp_path):
    secure.files["v.txt"] = b"".join(b"t%d 1 2\n" % n for n in range(2000))
    url = f"{'remote+' if direct else ''}{secure.url}v.txt?{SIGNED}"
    library = pe.Library(tmp_path / "cache")
    vocabulary = pe.Vocabulary([f"t{n}" for n in range(9)], pad=None)

    matrix = pe.build_matrix(vocabulary, url, library=library)
    pe.build_matrix(vocabulary, url, out=tmp_path / "out.npy", library=library)
    for name in ("m.npz", "m.h5", "m.safetensors"):
        matrix.save(tmp_path / name)
    (tmp_path / "m.pickle").write_bytes(pickle.dumps(matrix))
    said = "".join(
        run(*words, "--cache-dir", tmp_path / "cache").output
        for words in (
            ["cache", "list"],
            ["cache", "list", "--json"],
            ["info", url],
            ["examine", url],
        )
    )
    said += run("explain", tmp_path / "m.npz", "t1").output
    said += run("info", tmp_path / "m.npz").output
    said += repr(matrix) + str(matrix.provenance) + str(matrix.explain("t1"))

    for secret in ("5ec2e7", "AKIA", "AWS4"):
        assert secret.encode() not in kept(tmp_path)
        assert secret not in said
    assert SHOWN in said
    assert any("5ec2e7" in query for query in secure.queries)


def test_a_signature_goes_to_workers_who_have_to_ask(secure):
    stream = open_source(f"remote+{secure.url}v.txt?sig=s3cret")

    address = pickle.loads(pickle.dumps(stream.address))  # noqa: S301  (our own)
    secure.queries.clear()

    assert open_source(address).head(10) == DATA[:10]
    assert set(secure.queries) == {"sig=s3cret"}
    assert "s3cret" not in f"{stream} {stream.provenance} {stream.identity}"


def test_a_signed_archive_keeps_its_signature_for_a_member(secure):
    assert Url("https://h.example/a.zip?sig=s").with_member("v").whole.endswith("=s#v")


def test_urls_that_differ_in_their_signatures_are_the_same_source(secure, tmp_path):
    library = pe.Library(tmp_path / "cache")
    offline = pe.Library(tmp_path / "cache", offline=True)
    first = library.fetch(f"{secure.url}v.txt?sig=one&se=1")

    assert library.fetch(f"{secure.url}v.txt?sig=two&se=2") == first
    assert offline.fetch(f"{secure.url}v.txt?sig=...&se=...") == first
    assert len(secure.asked) == 1
    assert library.fetch(f"{secure.url}v.txt?n=1&sig=one&se=1") != first


def test_a_url_as_it_is_shown_cannot_be_asked_for(secure, tmp_path):
    with pytest.raises(SourceError, match="left out; give the whole URL"):
        pe.Library(tmp_path).fetch(f"{secure.url}v.txt?sig=...")

    assert secure.asked == []


def test_a_download_goes_on_with_a_new_signature(secure, get, tmp_path):
    signed = lambda sig: entry(secure, f"v.txt?sig={sig}", checksums=())  # noqa: E731
    interrupted(secure, get, signed("one"))
    note = next((tmp_path / "cache").rglob("*.part.json"))
    assert "sig=..." in note.read_text()
    # As one that was begun before signatures were left out:
    note.write_text(note.read_text().replace("sig=...", "sig=older"))

    assert get(signed("two")).path.read_bytes() == DATA
    assert secure.asked[-1][1] is not None
    assert secure.queries == ["sig=one", "sig=two"]


def test_a_download_that_was_named_after_its_signature_is_found(secure, get, tmp_path):
    whole = f"{secure.url}v.txt?sig=one"
    wanted = Entry(str(Url(whole)), (Url(whole),))
    made = get(wanted).path.parent
    record = made / "v.txt.json"
    record.write_text(record.read_text().replace("sig=...", "sig=one"))
    made.rename(made.with_name("v.txt-0123abcd"))

    again = get(replace(wanted, urls=(Url(whole.replace("one", "two")),)))

    assert again.path.parent == made
    assert len(secure.asked) == 1
    (listed,) = pe.Library(tmp_path / "cache").cache.entries()
    assert listed.source == again.record.source == wanted.id
    assert "v.txt" in left(tmp_path)


def test_errors_and_what_caused_them_show_no_signature(tmp_path):
    with servers.serving("good.pem") as dead:
        url = dead.url
    retry = Retry(sleep=lambda _: None)
    for source in (
        f"{url}v.txt?sig=s3cret-value",
        f"remote+{url}v.txt?sig=s3cret-value",
    ):
        with pytest.raises(SourceError, match=re.escape("?sig=...")) as caught:
            pe.Library(tmp_path).stream(source, retry=retry)
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_what_others_say_of_a_url_is_hidden_too():
    url = Url("https://h.example/v.txt?sig=s%2Fcret&n=1")

    for said in (
        url.whole,
        "GET /v.txt?sig=s%2Fcret&n=1",
        "bad s%2Fcret",
        "bad s/cret",
    ):
        assert "cret" not in url.hide(said)


def test_a_login_that_was_kept_once_is_not_shown():
    assert public("https://me:pw@h.example/v") == "https://...@h.example/v"
