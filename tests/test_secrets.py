"""What releases before this wrote of URLs is shown without their secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.sources.url import shown
from tests.command_line import run

SECRETS = ("s3cret", "pa55word")
URL = "https://me:pa55word@h.example/v.txt?X-Amz-Signature=s3cret#v.txt"


@pytest.fixture
def matrix() -> pe.EmbeddingMatrix:
    """A matrix whose provenance and notes tell of a URL, as they once did."""
    source = {"source": URL, "name": "v.txt", "url": URL, "members": [URL]}
    findings = pe.formats.Findings(rows=1, notes=[f"read from {URL}, twice"])
    vocabulary = pe.Vocabulary(["the"], pad=None)
    return pe.EmbeddingMatrix(
        np.ones((1, 2), np.float32), vocabulary, None, {"source": source}, findings
    )


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors", ".npy"])
def test_a_saved_matrix_tells_no_secret(matrix, tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    matrix.save(f"m{suffix}")
    assert any(s.encode() in p.read_bytes() for p in Path().iterdir() for s in SECRETS)

    loaded = pe.load_matrix(f"m{suffix}")
    loaded.save("again.npz")
    told = [str(loaded.provenance), str(loaded.findings)]
    told += [str(loaded.explain("the")), loaded._repr_html_()]
    for words in (["info"], ["info", "--json"], ["explain"], ["explain", "--json"]):
        result = run(
            words[0], f"m{suffix}", *words[1:], *["the"][: words[0] == "explain"]
        )
        assert result.exit_code == 0, result.stderr
        told.append(result.output)
    pe.page(loaded, "r.html")
    loaded.save_report("r.json")
    told += [Path("r.html").read_text("utf-8"), Path("r.json").read_text()]
    told.append(Path("again.npz").read_bytes().decode("latin-1"))

    for text in told:
        assert not [secret for secret in SECRETS if secret in text]
    assert loaded.source_facts[0]["url"] == shown(URL)
    assert "X-Amz-Signature=...#v.txt" in shown(URL)


def test_a_store_and_the_cache_tell_no_secret(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("v.txt").write_text("the 1 2\n")
    path = pe.index("v.txt", library=pe.Library("cache"))
    record = path.with_name("store.h5.json")
    known = json.loads(record.read_bytes())
    record.write_text(json.dumps(known | {"source": URL}))
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    for words in (["list"], ["list", "--json"], ["verify", "--json"]):
        result = run("cache", *words, "--cache-dir", "cache")
        assert "h.example" in result.output
        assert not [secret for secret in SECRETS if secret in result.output]


def test_what_is_no_url_stays_as_it_is():
    value = {"a": ["token=b;c=d", "C:\\v.txt?sig=1", 3, None], "user:pw@host": "x"}

    assert shown(value) == value
