"""The same bytes in every packing, for tests."""

import bz2
import gzip
import importlib
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from pretrained_embed.sources import open_source

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


def make(kind: str, folder: Path, data: bytes = DATA) -> Path:
    """Write bytes in some packing, under a name that says nothing about it."""
    path = folder / "vectors"
    if kind.startswith("tar"):
        return tarred(path, {"in/v.txt": data}, kind.partition(".")[2])
    if kind.startswith("zip"):
        inner = gzip.compress(data) if kind == "zip of gz" else data
        method = zipfile.ZIP_BZIP2 if kind == "zip by bz2" else zipfile.ZIP_DEFLATED
        return zipped(path, {"in/v.txt": inner}, method)
    pack = {
        "plain": bytes,
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": zstd_with_checksum,
    }[kind]
    path.write_bytes(pack(data))
    return path


PACKINGS = ["plain", "gz", "bz2", "xz", "zst", "zip", "zip of gz", "zip by bz2", "tar"]


PACKINGS += ["tar.gz", "tar.bz2", "tar.xz"]


class Unseekable:
    """A handle with nothing but read, as network libraries give it."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size):
        return self._file.read(min(size, 1000))
