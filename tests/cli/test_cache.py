"""``fetch`` and ``cache``, against a real host on loopback."""

import hashlib
import json
from pathlib import Path

import pytest

import pretrained_embed as pe
from tests.command_line import run
from tests.servers import serving

DATA = b"the 1 2\ncat 3 4\n"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def host(monkeypatch):
    """Return a host that the catalog entries ``mini`` and ``mini-{lang}`` are on."""
    checksum = {"algorithm": "sha256", "of": "file", "value": DIGEST}
    with serving() as host:
        host.files = {"v.txt": DATA, "xx.txt": DATA, "yy.txt": DATA}
        entries = [
            {"id": "mini", "urls": [host.url + "v.txt"]},
            {
                "id": "mini-{lang}",
                "urls": [host.url + "{lang}.txt"],
                "languages": ["xx", "yy"],
            },
        ]
        catalog = {
            "schema": 1,
            "entries": [
                e | {"family": "mini", "checksums": [checksum]} for e in entries
            ],
        }
        Path("own.json").write_text(json.dumps(catalog))
        monkeypatch.setenv("PRETRAINED_EMBED_CATALOG", str(Path("own.json").absolute()))
        yield host


def fetched() -> Path:
    return Path(run("fetch", "mini").stdout.rstrip("\n"))


def test_fetch_prints_the_path_of_the_verified_file(host, tmp_path):
    result = run("fetch", "mini")

    path = Path(result.stdout.rstrip("\n"))
    assert path.read_bytes() == DATA
    assert path.is_relative_to(tmp_path / "cache")
    assert result.stderr == f"16 B, sha256 {DIGEST}, as published\n"


def test_fetch_asks_the_host_once(host):
    first, second = run("fetch", "mini"), run("fetch", "mini", "--offline")

    assert (second.exit_code, second.stdout) == (0, first.stdout)
    assert len(host.asked) == 1


def test_fetch_tells_programs_what_they_got(host):
    known = json.loads(run("fetch", "mini", "--json").stdout)

    assert known == {
        "path": str(fetched()),
        "source": "mini",
        "size": 16,
        "sha256": DIGEST,
        "published": f"sha256:{DIGEST}",
    }


def test_fetch_can_be_quiet(host):
    assert run("fetch", "mini", "--quiet").stderr == ""


def test_fetch_tells_of_a_package_that_makes_it_needless(host, tmp_path, monkeypatch):
    info = tmp_path / "site" / "mini-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mini\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[pretrained_embed.sources]\nmini = m:PATH\n"
    )
    vectors = tmp_path / "site" / "mini.txt"
    vectors.write_text("the 1 2\n")
    (tmp_path / "site" / "m.py").write_text(f"PATH = {str(vectors)!r}\n")
    monkeypatch.syspath_prepend(info.parent)
    host.asked.clear()

    result = run("fetch", "mini")

    assert result.exit_code == 0
    assert result.stdout == f"{vectors}\n"
    assert "nothing has to be downloaded" in result.stderr
    assert run("fetch", "mini", "--offline", "--json").exit_code == 0
    assert host.asked == []
    assert result.stderr.startswith("An installed package has mini already")
    assert "installed" in run("list", "--family", "mini").stdout


def test_offline_asks_no_host(host):
    for words in (
        ("fetch", "mini"),
        ("build", "--vocab", "vocab.txt", "--source", "mini"),
    ):
        result = run(*words, "--offline")

        assert (result.exit_code, result.stdout) == (1, "")
        assert "the network may not be used" in result.stderr
    assert host.asked == []


def test_an_unknown_name_suggests_the_nearest(host):
    result = run("fetch", "minni")

    assert result.exit_code == 1
    assert "did you mean mini" in result.stderr


def test_a_dead_host_is_a_message(host):
    host.files.clear()

    result = run("fetch", "mini")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: mini cannot be downloaded:")
    assert "404" in result.stderr


def test_build_downloads_into_the_folder_named(host, tmp_path):
    elsewhere = tmp_path / "elsewhere"

    result = run(
        *("build", "--vocab", "vocab.txt", "--source", "mini"),
        *("--cache-dir", elsewhere, "--catalog", "own.json"),
    )

    assert result.exit_code == 0
    assert pe.load_matrix("embedding.npz").provenance["source"]["source"] == "mini"
    assert [path.read_bytes() for path in elsewhere.rglob("v.txt")] == [DATA]
    assert not (tmp_path / "cache").exists()


def test_list_and_info_mark_what_is_cached(host):
    fetched()
    run("fetch", "mini-yy")

    marks = [
        line.split()[-1] for line in run("list", "--family", "mini").stdout.splitlines()
    ]
    of_language = json.loads(
        run("list", "--language", "yy", "--family", "mini", "--json").stdout
    )
    known = json.loads(run("info", "mini", "--json").stdout)
    environment = json.loads(run("info", "--json").stdout)

    assert marks == ["HERE", "cached", "cached"]
    assert "1 cached" in run("list", "--family", "mini").stdout
    assert [entry["here"] for entry in of_language] == ["cached"]
    assert known["here"] == "cached"
    assert environment["cache_bytes"] == 32


def test_path_is_the_folder_alone(host, tmp_path):
    fetched()

    result = run("cache", "path")

    assert result.stdout == f"{tmp_path / 'cache'}\n"
    assert result.stderr == "1 file, 16 B\n"


def test_path_tells_where_to_put_a_file_by_hand(host, tmp_path):
    result = run("cache", "path", "mini")
    path = Path(result.stdout.rstrip("\n"))
    assert result.stderr == f"for what {host.url}v.txt gives, as it is\n"
    assert not (tmp_path / "cache").exists()

    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)

    assert run("fetch", "mini", "--offline").stdout == result.stdout
    assert host.asked == []
    url = run("cache", "path", f"{host.url}a.zip#v.txt").stdout.rstrip("\n")
    assert Path(url).name == "a.zip"
    assert "mini" in run("cache", "path", "minni").stderr


def test_what_should_be_known_of_a_cache_is_told_once(host, tmp_path, monkeypatch):
    monkeypatch.delenv("PRETRAINED_EMBED_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(
        "pretrained_embed.library.cache_folder._PACKAGE", tmp_path / "p"
    )
    planted = Path("cache")
    run("fetch", "mini", "--cache-dir", planted)

    lines = run("cache", "list").stderr.splitlines()
    hushed = run("fetch", "mini", "--quiet").stderr

    assert lines[0].startswith(f"Note: the cache in {planted.resolve()} is not used")
    assert lines[1:] == [f"0 files, 0 B in {tmp_path / 'user' / 'pretrained-embed'}"]
    assert hushed == ""


def test_cache_list_shows_names_sizes_and_who_vouches(host, tmp_path):
    path = fetched()

    result = run("cache", "list")
    known = json.loads(run("cache", "list", "--json").stdout)

    head, line = result.stdout.splitlines()
    assert head.split() == ["NAME", "SIZE", "CONTENT", "FILE"]
    assert line.split() == ["mini", "16", "B", "as", "published", "v.txt"]
    assert result.stderr == f"1 file, 16 B in {tmp_path / 'cache'}\n"
    assert [(one["source"], one["path"]) for one in known] == [("mini", str(path))]


def test_cache_list_shows_unfinished_downloads(host):
    path = fetched()
    path.rename(path.with_name("v.txt.part"))

    assert "unfinished" in run("cache", "list").stdout


def test_verify_reads_every_file_again(host):
    path = fetched()

    good = run("cache", "verify")
    path.write_bytes(DATA.replace(b"1", b"9"))
    damaged = run("cache", "verify")
    known = json.loads(run("cache", "verify", "--json").stdout)

    assert (good.exit_code, good.stdout.split()[0]) == (0, "ok")
    assert good.stderr == "1 file, 16 B, all as recorded.\n"
    assert (damaged.exit_code, damaged.stdout.split()[0]) == (1, "DAMAGED")
    assert "pretrained-embed cache remove mini" in damaged.stderr
    assert [(one["path"], one["ok"]) for one in known] == [(str(path), False)]


def test_remove_takes_what_was_named_and_nothing_else(host):
    path = fetched()
    run("fetch", "mini-xx")

    result = run("cache", "remove", "mini")

    assert result.exit_code == 0
    assert result.stderr.startswith("Removed mini: ")
    assert not path.exists()
    left = json.loads(run("cache", "list", "--json").stdout)
    assert [one["source"] for one in left] == ["mini-xx"]


def test_remove_of_what_is_not_there_removes_nothing(host):
    path = fetched()

    result = run("cache", "remove", "mini", "mimi")

    assert result.exit_code == 1
    assert "'mimi' is not in the cache; did you mean 'mini'?" in result.stderr
    assert path.exists()


def test_clear_empties_the_cache(host):
    path = fetched()

    result = run("cache", "clear")

    assert result.exit_code == 0
    assert "freed" in result.stderr
    assert not path.exists()
    assert json.loads(run("cache", "list", "--json").stdout) == []


def test_an_empty_cache_is_no_error():
    for words in (("list",), ("verify",), ("clear",), ("path",)):
        assert run("cache", *words).exit_code == 0
    assert json.loads(run("cache", "list", "--json").stdout) == []
