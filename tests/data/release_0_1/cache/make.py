"""Make the cache of this folder, as release 0.1 left it behind.

Made by the code of commit 0f0e8c0 (release 0.1) with Python 3.11 on x86-64 Linux, in a
checkout of that commit, of which only this file and the tests' server are newer::

    sudo install -d -o $USER /srv/vectors
    PYTHONPATH=. python tests/data/release_0_1/cache/make.py

Later code need not run it. It downloads made-up vectors from a server of its own:

* ``cache.zip`` has the cache folder, whole: records, locks and tag too. Records hold
  the times of files, which the archive keeps to two seconds only;
* ``catalog.json`` is the catalog by which it was filled;
* ``indexed.txt`` is a local file of which the cache holds a store, made while it was
  in ``/srv/vectors`` (its mark is of that path, its state of times and inode);
* ``expected.npz`` has for each source ``NAME``: ``NAME.tokens`` (bytes) and
  ``NAME.vectors`` float32, the first row of each token, and ``NAME.rows``, where they
  stand in the source; they are drawn here, not read by the package.

Sources (all files are different, so that none can pass for another):

=============== ==================================================================
published       downloaded; its checksum is published
unpublished     downloaded; vouched for by its first use
``URL``         downloaded by its URL alone, which ``expected.npz`` has as ``url``
in-zip          a member of a zip, alone; no checksum
in-zip-checked  another member of that zip, whose own checksum is published
whole-zip       a member of another zip, here with it: its checksum is published
odd-hash        a member called ``a b/#v 1%.txt``
odd-dot         a member called ``.hidden/.v.txt``
odd-long        a member of which the quoted name has more than 150 characters
two-files       vectors in ``.npy``, and the tokens in a second file
only-store      a store of float32; the download has been deleted
only-store-16   a store of float16; the download, without a checksum, has been deleted
half            half downloaded: ``.part`` and what it is a part of; checksum published
half-unknown    half downloaded, without a checksum, by an ETag
=============== ==================================================================
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np

ROOT = Path(__file__).parents[4]
sys.path[:0] = [str(ROOT)]
HERE = Path(__file__).parent

import pretrained_embed as pe  # noqa: E402
from tests import servers  # noqa: E402

DIM = 6
MEMBERS = {
    "in-zip": "in/words.txt",
    "in-zip-checked": "in/checked.txt",
    "whole-zip": "words.txt",
    "odd-hash": "a b/#v 1%.txt",
    "odd-dot": ".hidden/.v.txt",
    "odd-long": "詞向量" * 8 + "/詞.txt",
}
PLAIN = [
    *("published", "unpublished", "url", "only-store", "only-store-16"),
    *("half", "half-unknown", "indexed"),
]
expected: dict[str, np.ndarray] = {}


def text_of(name: str, rows: int = 30) -> bytes:
    """Return a text of vectors, and keep what is in it."""
    drawn = np.random.default_rng(list(name.encode()))
    tokens = ["the", "The", "new york", "é", "日本", *(f"w{i}" for i in range(rows))]
    vectors = drawn.normal(size=(len(tokens), DIM)).astype(np.float32)
    if name.endswith("-16"):
        vectors = vectors.astype(np.float16).astype(np.float32)
    keep(name, tokens, vectors)
    lines = [
        " ".join([token, *map(str, vector)])
        for token, vector in zip(tokens, vectors.tolist(), strict=True)
    ]
    lines.insert(7, " ".join(["the", *["9.5"] * DIM]))  # a later row of a token
    return "".join(f"{line}\n" for line in lines).encode()


def keep(name: str, tokens: list[str], vectors: np.ndarray) -> None:
    rows = np.arange(len(tokens))
    expected[f"{name}.tokens"] = np.array([token.encode() for token in tokens])
    expected[f"{name}.vectors"] = vectors
    expected[f"{name}.rows"] = np.where(rows < 7, rows, rows + 1)


def checksum(data: bytes, of: str) -> dict[str, str]:
    return {
        "algorithm": "sha256",
        "of": of,
        "value": hashlib.sha256(data).hexdigest(),
    }


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(MEMBERS.get(name, name), (2026, 11, 30, 8, 0, 0))
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def main() -> None:
    cache = HERE / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    os.environ["REQUESTS_CA_BUNDLE"] = str(servers.TLS / "good.pem")
    with servers.serving("good.pem") as host:
        data = {name: text_of(name) for name in [*PLAIN, *MEMBERS]}
        numbers = np.random.default_rng(9).normal(size=(20, DIM)).astype(np.float32)
        npy = io.BytesIO()
        np.save(npy, numbers)
        words = [f"z{i}" for i in range(20)]
        keep("two-files", words, numbers)
        expected["two-files.rows"] = np.arange(20)
        host.files |= {f"{name}.txt": data[name] for name in PLAIN}
        host.files["two.npy"] = npy.getvalue()
        host.files["two.vocab"] = "".join(f"{word}\n" for word in words).encode()
        several = ("in-zip", "in-zip-checked", "odd-hash", "odd-dot", "odd-long")
        filler = np.random.default_rng(1).bytes(1 << 17)  # so that pieces are asked for
        host.files["several.zip"] = zipped(
            **{"filler.bin": filler}, **{name: data[name] for name in several}
        )
        host.files["whole.zip"] = zipped(**{"whole-zip": data["whole-zip"]})

        entries = []
        for name in PLAIN:
            if name in ("url", "indexed"):
                continue
            entry = {"id": name, "urls": [f"{host.url}{name}.txt"], "dim": DIM}
            entry |= {"licence": "CC0-1.0", "title": f"The vectors called {name}"}
            if name not in ("unpublished", "only-store-16", "half-unknown"):
                entry["checksums"] = [checksum(data[name], "file")]
            entries.append(entry)
        for name, member in MEMBERS.items():
            archive = "whole.zip" if name == "whole-zip" else "several.zip"
            entry = {"id": name, "urls": [host.url + archive], "container": "zip"}
            entry["member"] = member
            if name == "in-zip-checked":
                entry["checksums"] = [checksum(data[name], "member")]
            if name == "whole-zip":
                entry["checksums"] = [checksum(host.files["whole.zip"], "file")]
            entries.append(entry)
        entries.append(
            {
                "id": "two-files",
                "urls": [f"{host.url}two.npy"],
                "checksums": [checksum(npy.getvalue(), "file")],
                "tokens": {
                    "urls": [f"{host.url}two.vocab"],
                    "checksums": [checksum(host.files["two.vocab"], "file")],
                },
            }
        )
        catalog = HERE / "catalog.json"
        catalog.write_text(
            json.dumps({"schema": 1, "entries": entries}, indent=1, ensure_ascii=False)
            + "\n",
            encoding="utf-8",
        )
        expected["url"] = np.array(f"{host.url}url.txt")
        options = {"cache_dir": cache, "catalog": catalog}

        for name in ("published", "unpublished", *MEMBERS, "two-files"):
            pe.fetch(name, **options)
        pe.fetch(str(expected["url"]), **options)
        pe.fetch(f"{host.url}several.zip#{quote(MEMBERS['odd-hash'])}", **options)
        pe.build_matrix(["the"], "only-store", **options)
        pe.index("only-store-16", dtype="float16", **options)
        for name in ("only-store", "only-store-16"):
            path = pe.fetch(name, **options)
            for file in path.parent.glob(f"{path.name}*"):
                file.unlink()

        for name in ("half", "half-unknown"):

            def stop(done: int, total: int | None) -> None:
                raise KeyboardInterrupt

            size = len(data[name])
            host.answers.append(servers.cut(size // 2))
            host.default = servers.silent
            with suppress(KeyboardInterrupt):
                pe.fetch(name, **options, progress=stop)
            host.default = servers.good
            host.answers.clear()
        assert not any(path.name == "half.txt" for path in cache.rglob("*"))

        indexed = Path("/srv/vectors/indexed.txt")
        indexed.write_bytes(data["indexed"])
        pe.index(indexed, **options)
        shutil.copy2(indexed, HERE)
    shutil.make_archive(str(cache), "zip", HERE, "cache")
    shutil.rmtree(cache)
    np.savez_compressed(HERE / "expected.npz", **expected)


if __name__ == "__main__":
    main()
