"""Repositories of the Hugging Face hub, against a stub of it on loopback."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pytest
import torch
from conformance import all_rows
from huggingface_hub import constants
from pyarrow import parquet
from safetensors.torch import load_file

import pretrained_embed as pe
from pretrained_embed.errors import (
    MissingPackageError,
    SourceError,
    UnknownSourceError,
)
from pretrained_embed.library.hub import place_of

DATA = Path(__file__).parents[1] / "data"
COMMIT = "4a1c" * 10


class Hub(ThreadingHTTPServer):
    """Repositories, by the folders that they are, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.fetched: list[str] = []
        self.commits = iter([COMMIT] * 1000)
        self.extra: list[str] = []  # names that are listed and not there
        self.status = 200
        self.token = ""  # without which nothing is given out
        self.lists = False  # whether it lists files, whatever the status


class _Asked(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args: object) -> None:
        """Keep silent."""

    def do_HEAD(self) -> None:
        self.answer(whole=False)

    def do_GET(self) -> None:
        self.answer(whole=True)

    def answer(self, *, whole: bool) -> None:
        path = self.path.partition("?")[0].strip("/")
        headers: dict[str, str] = {}
        code, raw = self.server.status, b"{}"
        if self.headers.get("Authorization") != self.server.token and self.server.token:
            code = 401
        if path.startswith("api/"):
            code = 200 if self.server.lists else code
            organisation, name = path.split("/")[2:4]
            folder = self.server.folder / organisation / name
            if not folder.is_dir() or path.split("/")[4:] not in (
                ["revision", "main"],
                ["revision", "v1"],
                ["revision", "refs%2Fpr%2F1"],
            ):
                code, headers = 404, {"X-Error-Code": "RepoNotFound"}
            held = [path for path in folder.rglob("*") if path.is_file()]
            files = [path.relative_to(folder).as_posix() for path in held]
            raw = json.dumps(
                {
                    "id": f"{organisation}/{name}",
                    "sha": COMMIT,
                    "siblings": [{"rfilename": f} for f in files + self.server.extra],
                    "cardData": {"license": "mit"},
                    "tags": ["license:mit"],
                }
            ).encode()
        else:
            repository, _, rest = (
                path.removeprefix("datasets/")
                .removeprefix("spaces/")
                .partition("/resolve/")
            )
            name = rest.partition("/")[2]
            raw = (self.server.folder / repository / name).read_bytes()
            headers["ETag"] = f'"{hashlib.sha1(raw).hexdigest()}"'
            headers["X-Repo-Commit"] = next(self.server.commits)
            if whole:
                self.server.fetched.append(name)
        if self.server.status == 403:
            headers["X-Error-Code"] = "GatedRepo"
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(raw))}.items():
            self.send_header(key, value)
        self.end_headers()
        if whole:
            self.wfile.write(raw)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with Hub(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def library(tmp_path) -> pe.Library:
    return pe.Library(tmp_path / "cache", offline=False)


def published(hub: Hub, source: Path, name: str = "org/name") -> Path:
    target = hub.folder / name
    shutil.copytree(source, target)
    (target / "README.md").write_text("---\nlicense: mit\n---\n")
    (target / "tf_model.h5").write_bytes(b"large")
    return target


MODELS = ["bert", "llama", "model2vec", "static-embedding", "word-embeddings"]


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_found_and_only_what_it_needs_is_fetched(model, hub, library):
    published(hub, DATA / "hugging_face" / model)

    with (
        library.open("hf://org/name") as reader,
        pe.open_vectors(DATA / "hugging_face" / model) as expected,
    ):
        rows, right = all_rows(reader), all_rows(expected)

    assert rows[0] == right[0]
    assert rows[1].tobytes() == right[1].tobytes()
    assert not {"README.md", "tf_model.h5"} & {*hub.fetched}
    weights = [name for name in hub.fetched if name.endswith(".safetensors")]
    assert len(weights) == 1


def test_weights_of_torch_are_fetched_where_there_are_no_others(hub, library):
    folder = published(hub, DATA / "hugging_face" / "bert")
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()

    assert library.open("hf://org/name").count == 17


def test_a_pipeline_of_spacy_is_found(hub, library):
    published(hub, DATA / "spacy" / "default")

    with library.open("hf://org/name") as reader:
        assert reader.format == "spacy-vectors"
    assert {Path(name).parent.name for name in hub.fetched} == {"vocab"}


def test_the_only_file_of_vectors_is_found(hub, library):
    folder = hub.folder / "org" / "name"
    folder.mkdir(parents=True)
    np.save(folder / "glove.npy", np.ones((2, 3), np.float32))
    (folder / "glove.tokens").write_text("a\nb\n")
    for other in ("README.md", "config.json", "LICENSE.txt"):
        (folder / other).write_text("{}")

    with library.open("hf://datasets/org/name@v1") as reader:
        assert all_rows(reader)[0] == ["a", "b"]
    assert sorted(hub.fetched) == ["glove.npy", "glove.tokens"]


def test_of_several_files_one_is_to_be_named(hub, library):
    folder = hub.folder / "org" / "name"
    folder.mkdir(parents=True)
    for name in ("a.vec", "b.vec", "c.md"):
        (folder / name).write_text("the 1 2\n")

    with pytest.raises(SourceError, match=r"name/FILE:\n  a\.vec\n  b\.vec$"):
        library.open("hf://org/name")
    with library.open(f"{hub.url}/org/name/blob/main/b.vec") as reader:
        assert reader.format == "text"
    assert hub.fetched == ["b.vec"]
    with pytest.raises(UnknownSourceError, match="no such file"):
        library.open(f"{hub.url}/org/name/blob/main/d.vec")


def test_the_parts_of_a_data_set_are_one_source(hub, library):
    folder = hub.folder / "org" / "name" / "data"
    folder.mkdir(parents=True)
    for part in range(3):
        table = pa.table(
            {"w": [f"w{part}", "same"], "v": [[part, 1.0]] * 2, "x": [1, 2]}
        )
        parquet.write_table(table, folder / f"train-{part:05}-of-00003.parquet")

    with library.open("hf://datasets/org/name") as reader:
        tokens, vectors = all_rows(reader)
    matrix = pe.build_matrix(["w2"], "hf://datasets/org/name#vector=v", library=library)

    assert tokens == ["w0", "same", "w1", "same", "w2", "same"]
    assert vectors[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert matrix["w2"].tolist() == [2, 1]
    source = matrix.provenance["source"]
    assert source["source"] == "hf://datasets/org/name#vector=v"
    assert (source["licence"], len(source["parts"])) == ("mit", 3)
    (folder / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(SourceError, match="several files of vectors"):
        library.open("hf://datasets/org/name")


def parts_of(hub, names: list[str], name: str = "org/name") -> Path:
    """Publish files of Parquet, each with a row of its own."""
    folder = hub.folder / name
    for number, part in enumerate(names):
        path = folder / part
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({"w": [f"w{number}"], "v": [[float(number), 1.0]]})
        parquet.write_table(table, path)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


PARTS = ["d/p2.parquet", "d/p10.parquet", "d/_old.parquet", "other/x.parquet"]


@pytest.mark.parametrize(
    ("place", "tokens"),
    [
        ("@v1/d/*.parquet", ["w0", "w1"]),
        ("/d/p?.parquet", ["w0"]),
        ("/d/p[0-9]*", ["w0", "w1"]),
        ("/d/p2.parquet", ["w0"]),
        ("@refs%2Fpr%2F1/d", ["w0", "w1"]),
        ("/d/", ["w0", "w1"]),
        ("/**/*.parquet", ["w0", "w1", "w3"]),
        ("/**/[ox]*.parquet#token=w,vector=v", ["w3"]),
    ],
)
@pytest.mark.parametrize("kind", ["", "datasets/"])
def test_files_a_folder_or_a_pattern_are_read_from_the_cache_of_the_hub(
    place, tokens, kind, hub, library, tmp_path
):
    parts_of(hub, PARTS)
    words = f"hf://{kind}org/name{place}"

    matrix = pe.build_matrix(["w0", "w3"], words, library=library)
    asked = len(hub.fetched)
    with pe.Library(tmp_path / "cache", offline=True).open(words) as reader:
        assert all_rows(reader)[0] == tokens

    source = matrix.provenance["source"]
    assert source["source"] == words
    assert source["url"] == f"hf://{kind}org/name"
    assert (source["revision"], source["licence"]) == (COMMIT, "mit")
    assert len(hub.fetched) == asked == len(tokens)


def test_an_offline_pattern_is_not_read_in_part(hub, library, tmp_path):
    """Of a repository whose list is not known, some parts may be missing."""
    parts_of(hub, PARTS)
    library.open("hf://org/name/d/p2.parquet").close()
    offline = pe.Library(tmp_path / "another", offline=True)

    with offline.open("hf://org/name/d/p2.parquet") as reader:
        assert reader.count == 1
    for place in ("d/*.parquet", "d"):
        with pytest.raises(SourceError, match="not known whether all files") as told:
            offline.open(f"hf://org/name/{place}")
        pattern = str(told.value).rpartition(": ")[2]
        assert pe.open_vectors(pattern).count == 1
    with pytest.raises(SourceError, match="is not in the cache of huggingface_hub"):
        offline.open("hf://org/name/other/*.parquet")
    with pytest.raises(SourceError, match="is not in the cache of huggingface_hub"):
        pe.Library(tmp_path / "cache", offline=True).open("hf://org/name/d/*.parquet")


def test_the_list_of_files_is_in_the_cache(hub, library):
    parts_of(hub, PARTS)
    library.open("hf://org/name/d/p2.parquet").close()

    (kept,) = library.cache.entries()

    assert kept.source == "hf://org/name"
    assert all(one.is_right for one in library.cache.verify())
    assert library.cache.remove("hf://org/name").freed > 0


@pytest.mark.parametrize("place", ["/d/*.vec", "/e/", "/p2.parquet"])
def test_what_a_repository_does_not_hold_is_an_error(place, hub, library):
    parts_of(hub, PARTS)

    with pytest.raises(UnknownSourceError, match=r"\n  d/p10\.parquet"):
        library.open(f"hf://org/name{place}")


def test_a_folder_of_different_files_is_not_joined(hub, library):
    folder = parts_of(hub, PARTS)
    (folder / "d" / "y.vec").write_text("the 1 2\n")

    with pytest.raises(SourceError, match=r"hf://org/name/d/FILE:\n"):
        library.open("hf://org/name/d")


def test_the_token_of_the_user_is_sent(hub, library, monkeypatch):
    parts_of(hub, PARTS)
    hub.token = "Bearer hf_of_somebody"

    with pytest.raises(SourceError, match="the hub answers 401"):
        library.open("hf://org/name/d/*.parquet")
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")

    assert library.open("hf://org/name/d/*.parquet").count == 2


def test_what_is_no_repository_says_how_one_is_named(library):
    with pytest.raises(UnknownSourceError, match="names no repository of the hub"):
        library.open("hf://*/name/x.vec")


def test_the_provenance_has_revision_and_licence(hub, library):
    published(hub, DATA / "hugging_face" / "bert")

    matrix = pe.build_matrix(["the"], f"{hub.url}/org/name/tree/v1", library=library)

    source = matrix.provenance["source"]
    assert source["source"] == f"{hub.url}/org/name/tree/v1"
    assert source["url"] == "hf://org/name"
    assert source["revision"] == COMMIT
    assert source["licence"] == "mit"


def test_what_was_fetched_is_there_offline(hub, library, tmp_path):
    published(hub, DATA / "hugging_face" / "llama")
    offline = pe.Library(tmp_path / "cache", offline=True)

    with pytest.raises(SourceError, match="is not in the cache of huggingface_hub"):
        offline.open("hf://org/name")
    before = all_rows(library.open("hf://org/name"))
    asked = len(hub.fetched)

    assert all_rows(offline.open("hf://org/name"))[0] == before[0]
    assert library.fetch("hf://org/name").is_dir()
    assert len(hub.fetched) == asked


def test_another_tensor_can_be_named(hub, library):
    published(hub, DATA / "hugging_face" / "llama")

    library.open("hf://org/name#lm_head.weight")

    assert "model-00002-of-00002.safetensors" in hub.fetched


def test_a_repository_that_there_is_none_of_is_an_error(hub, library):
    with pytest.raises(UnknownSourceError, match="no such repository or revision"):
        library.open("hf://org/name")


def test_one_with_terms_says_what_to_do(hub, library):
    published(hub, DATA / "hugging_face" / "bert")
    hub.status = 403

    with pytest.raises(SourceError, match="accept its terms"):
        library.open("hf://org/name")


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "401: the hub does not let you have it; 'hf auth login'"),
        (429, "429: the hub is asked too often; wait some minutes"),
        (500, "500: the hub is out of order; try again later"),
        (418, "418: get its files with a browser"),
    ],
)
@pytest.mark.parametrize("listed", [False, True], ids=["list", "file"])
def test_what_the_hub_refuses_has_a_remedy(
    status, remedy, listed, hub, library, monkeypatch
):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # it asks again by itself
    published(hub, DATA / "hugging_face" / "bert")
    hub.status, hub.lists = status, listed

    told = re.escape(f"hf://org/name: the hub answers {remedy}")
    with pytest.raises(SourceError, match=told):
        library.open("hf://org/name")


def test_offline_says_what_to_do(hub, library, tmp_path):
    offline = pe.Library(tmp_path / "cache", offline=True)

    with pytest.raises(SourceError, match="once with the network, without --offline"):
        offline.open("hf://org/name")


def test_a_folder_of_a_repository_is_read_alone(hub, library):
    published(hub, DATA / "hugging_face" / "bert", "org/name/small")
    published(hub, DATA / "hugging_face" / "llama", "org/name/large")

    with library.open(f"{hub.url}/org/name/tree/main/small") as reader:
        assert reader.count == 17
    assert all(name.startswith("small/") for name in hub.fetched)


def test_two_revisions_are_not_mixed(hub, library):
    published(hub, DATA / "hugging_face" / "bert")
    hub.commits = iter([COMMIT, COMMIT, *["b" * 40] * 99])

    with pytest.raises(SourceError, match="has changed while it was fetched"):
        library.open("hf://org/name")


@pytest.mark.parametrize("name", ["../../x.vec", "/x.vec", "a/../../x.vec"])
def test_a_file_that_leads_elsewhere_is_refused(name, hub, library):
    published(hub, DATA / "hugging_face" / "bert")
    hub.extra = [name]

    with pytest.raises(SourceError, match="leads elsewhere"):
        library.open("hf://org/name")


def test_a_hub_that_is_not_reached_is_an_error(hub, library, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(SourceError, match=r"hf://org/name: "):
        library.open("hf://org/name")


def test_without_the_package_the_extra_is_named(library, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)

    with pytest.raises(MissingPackageError, match=r"pretrained-embed\[hub\]"):
        library.open("hf://org/name")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hf://a/b", ("a/b", "model", "main", "")),
        ("hf://gpt2", ("gpt2", "model", "main", "")),
        ("hf://a/b@v1/", ("a/b", "model", "v1", "")),
        ("hf://a/b@refs/pr/1", ("a/b", "model", "refs/pr/1", "")),
        ("hf://datasets/a/b", ("a/b", "dataset", "main", "")),
        ("hf://spaces/a/b", ("a/b", "space", "main", "")),
        ("https://huggingface.co/spaces/a/b", ("a/b", "space", "main", "")),
        ("https://huggingface.co/a/b?library=x", ("a/b", "model", "main", "")),
        (
            "https://huggingface.co/a/b/tree/refs%2Fpr%2F1",
            ("a/b", "model", "refs/pr/1", ""),
        ),
        ("https://huggingface.co/models/a", None),
        ("https://huggingface.co/a/b", ("a/b", "model", "main", "")),
        ("https://huggingface.co/a/b/tree/v1", ("a/b", "model", "v1", "")),
        ("https://hf.co/datasets/a/b/", ("a/b", "dataset", "main", "")),
        (
            "https://huggingface.co/a/b/blob/main/c/d%20e.vec",
            ("a/b", "model", "main", "c/d e.vec"),
        ),
        ("hf://a/b/c.vec", ("a/b", "model", "main", "c.vec")),
        ("hf://a@v1/c.vec", ("a", "model", "v1", "c.vec")),
        ("hf://datasets/a/b/d/*.x", ("a/b", "dataset", "main", "d/*.x")),
        (
            "hf://datasets/a/b@refs/convert/parquet/d/",
            ("a/b", "dataset", "refs/convert/parquet", "d/"),
        ),
        ("hf://a/b@x%2Fy/c.vec", ("a/b", "model", "x/y", "c.vec")),
        ("hf://buckets/a/b/c.vec", None),
        ("https://huggingface.co/a/b/resolve/main/c.vec", None),
        ("https://huggingface.co/docs/hub", None),
        ("https://huggingface.co/", None),
        ("https://example.org/a/b", None),
        ("s3://a/b", None),
    ],
)
def test_places_are_told_from_other_words(words, expected):
    place = place_of(words)

    assert (place and (place.name, place.kind, place.revision, place.inside)) == (
        expected
    )
