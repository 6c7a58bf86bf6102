"""What is timed: which peers load what, for which tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.data import Files
from benchmarks.peers import PEERS
from benchmarks.peers.floors import INFLATE, READ
from benchmarks.peers.libraries import (
    EMBFILE,
    GENSIM,
    GENSIM_SAVED,
    NUMPY_LOAD,
    NUMPY_MAP,
    REACH,
)
from benchmarks.peers.loops import KERAS, LOADTXT, TORCHTEXT
from benchmarks.peers.ours import (
    ALL,
    EXAMINE,
    ONE,
    REFERENCE,
    SAVED_H5,
    SAVED_NPZ,
    SAVED_SAFETENSORS,
    STREAM,
)
from benchmarks.peers.peer import BINARY, GZIP, TEXT, ZIP
from benchmarks.peers.tables import PANDAS, POLARS_READ, POLARS_SCAN, PYARROW


class Run(NamedTuple):
    """A peer and the file it loads."""

    peer: str
    file: Path

    @property
    def is_ours(self) -> bool:
        """Whether the peer is this package."""
        return self.peer in (
            *(ALL, ONE, REFERENCE, STREAM, EXAMINE),
            *(SAVED_NPZ, SAVED_H5, SAVED_SAFETENSORS),
        )


class Workload(NamedTuple):
    """Runs that give the same matrix, and are compared with each other."""

    name: str
    title: str
    tokens: Path  # JSON list of the wanted tokens
    runs: tuple[Run, ...]
    series: str = ""  # workloads of one series differ in one number, their title


_OURS = (READ, ALL, ONE, REFERENCE)
_TABLES = (POLARS_SCAN, POLARS_READ, PYARROW, PANDAS)
_TEXT = (*_OURS, *_TABLES, REACH, EMBFILE, KERAS, TORCHTEXT, GENSIM)
_PACKED = (READ, INFLATE, *_OURS[1:], *_TABLES, EMBFILE, KERAS, GENSIM)


def _runs(peers: Iterable[str], file: Path, format: str) -> tuple[Run, ...]:
    return tuple(Run(name, file) for name in peers if format in PEERS[name].formats)


def _wide(files: Files) -> list[Workload]:
    path, wanted = files.wide(), files.rows // 20
    title = f"{wanted:,} of {files.rows:,} x 300, text"
    runs = _runs(_TEXT, path, TEXT)
    return [Workload("text-300", title, files.tokens(path, wanted), runs)]


def _narrow(files: Files) -> list[Workload]:
    path, wanted = files.glove(), files.rows // 20
    title = f"{wanted:,} of {files.rows:,} x 50, text"
    runs = _runs(_TEXT, path, TEXT)
    return [Workload("text-50", title, files.tokens(path, wanted), runs)]


def _all_rows(files: Files) -> list[Workload]:
    path = files.wide()
    title = f"all {files.rows:,} x 300, text"
    # torchtext's loop and the reference kernel take minutes, and do the same as above
    left = (peer for peer in _TEXT if peer not in (TORCHTEXT, REFERENCE))
    runs = _runs((*left, STREAM, EXAMINE), path, TEXT)
    return [Workload("all-300", title, files.tokens(path), runs)]


def _few(files: Files) -> list[Workload]:
    path, wanted = files.wide(), files.rows // 400
    title = f"{wanted:,} of {files.rows:,} x 300, text"
    runs = _runs((*_OURS, POLARS_SCAN, REACH, EMBFILE), path, TEXT)
    return [Workload("few-300", title, files.tokens(path, wanted), runs)]


def _binary(files: Files) -> list[Workload]:
    path, wanted = files.binary(), files.rows // 20
    title = f"{wanted:,} of {files.rows:,} x 300, word2vec binary"
    runs = _runs((*_OURS, EMBFILE, f"{GENSIM}, binary"), path, BINARY)
    return [Workload("binary-300", title, files.tokens(files.wide(), wanted), runs)]


def _packed(files: Files) -> list[Workload]:
    tokens = files.tokens(files.glove(), files.rows // 20)
    title = f"{files.rows // 20:,} of {files.rows:,} x 50, text in "
    in_gzip = _runs(_PACKED, files.gzipped(), GZIP)
    in_zip = _runs(_PACKED, files.zipped(), ZIP)
    return [
        Workload("gzip-50", title + "gzip", tokens, in_gzip),
        Workload("zip-50", title + "zip", tokens, in_zip),
    ]


def _small(files: Files) -> list[Workload]:
    path = files.small(2000)
    runs = _runs((*_OURS, *_TABLES, REACH, EMBFILE, KERAS, GENSIM, LOADTXT), path, TEXT)
    title = "1,000 of 2,000 x 50, text"
    return [Workload("small-file", title, files.tokens(path, 1000), runs)]


def _saved(files: Files) -> list[Workload]:
    plain = files.saved(".npy")
    runs = (
        Run(READ, plain),
        Run(NUMPY_LOAD, plain),
        Run(NUMPY_MAP, plain),
        Run(GENSIM_SAVED, files.saved(".kv")),
        Run(SAVED_NPZ, files.saved(".npz")),
        Run(SAVED_H5, files.saved(".h5")),
        Run(SAVED_SAFETENSORS, files.saved(".safetensors")),
    )
    title = f"a saved matrix of {files.rows:,} x 300"
    return [Workload("saved", title, files.tokens(files.wide()), runs)]


def _file_sizes(files: Files) -> list[Workload]:
    scale = files.rows / 400_000
    sizes = [round(gigabytes * scale * 1e9) for gigabytes in (0.1, 1, 4)]
    smallest = files.repeated(sizes[0])
    tokens = files.tokens(smallest, files.rows // 20)  # all of them in each file
    return [
        Workload(
            f"file-size-{number}",
            f"{size / 1e9:.3g} GB",
            tokens,
            _runs((READ, ALL, ONE), files.repeated(size), TEXT),
            "file-size",
        )
        for number, size in enumerate(sizes)
    ]


def _vocabulary_sizes(files: Files) -> list[Workload]:
    path = files.wide()
    shares = [files.rows // 4000, files.rows // 400, files.rows // 40, files.rows // 4]
    return [
        Workload(
            f"vocabulary-size-{number}",
            f"{wanted:,} tokens",
            files.tokens(path, wanted),
            _runs((READ, ALL, ONE), path, TEXT),
            "vocabulary-size",
        )
        for number, wanted in enumerate([*shares, files.rows])
    ]


def own(path: Path, format: str, tokens: Path) -> list[Workload]:
    """Every peer that reads the format, on a file and for tokens of one's own."""
    peers = [name for name in PEERS if name not in (STREAM, EXAMINE, LOADTXT)]
    title = f"{path.name}, a file of one's own"
    return [Workload("own", title, tokens, _runs(peers, path, format))]


#: By the name that ``--only`` takes, in the order they run.
WORKLOADS: dict[str, Callable[[Files], list[Workload]]] = {
    "text-300": _wide,
    "text-50": _narrow,
    "all-300": _all_rows,
    "few-300": _few,
    "binary-300": _binary,
    "packed-50": _packed,
    "small-file": _small,
    "saved": _saved,
    "file-size": _file_sizes,
    "vocabulary-size": _vocabulary_sizes,
}
