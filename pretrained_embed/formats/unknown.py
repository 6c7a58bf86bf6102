"""The diagnosis of a file or folder that no format recognises."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pretrained_embed.formats.reader import ByteStream

_UNPACK = "inside the archive; unpack it once more"
_UTF_16 = "text in UTF-16; save it as UTF-8"
_PICKLE = "a Python pickle, which can run any code and is never run"

_OLD_PICKLE = (
    "a Python pickle of protocol 0 or 1; those of 2 to 5 are read as data. If you "
    "trust it, write it again:\n"
    "  with open(OLD, 'rb') as old, open(NEW, 'wb') as new:\n"
    "      pickle.dump(pickle.load(old), new, 4)"
)
_ZLIB = (
    "zlib data, as joblib.dump packs it with compress=. What it writes without is "
    "read as data; if you trust it, write it again:\n"
    "  joblib.dump(joblib.load(OLD), NEW)"
)

_TO_PARQUET = 'pq.write_table(table, "vectors.parquet")   # pyarrow.parquet'
_LANCE = (
    "Lance, which is not read. Write it as Parquet, which is:\n"
    '  table = lance.dataset("{path}").to_table()   # columns=[token, vector]\n'
    f"  {_TO_PARQUET}"
)
_LANCE_FILE = (
    "a file of a data set of Lance, which is not read. Write the folder of the data "
    "set as Parquet, or this file alone:\n"
    '  table = lance.file.LanceFileReader("{path}").read_all().to_table()\n'
    f"  {_TO_PARQUET}"
)
_LANCE_END = b"LANC"
_SAVED_MODEL = "saved_model.pb"
_SAVED_VARIABLES = (
    "a SavedModel of TensorFlow, which is not read. See the names of its variables, "
    "write the one that is the table, and its tokens beside it as vectors.txt, one a "
    "line:\n"
    '  saved = tf.train.load_checkpoint("{path}/variables/variables")\n'
    '  np.save("vectors.npy", saved.get_tensor(NAME))   '
    "# of saved.get_variable_to_shape_map()"
)

_DISTRIBUTED = ".metadata"
_CHECKPOINT_OF_MANY = (
    "a checkpoint of torch.distributed, which is not read. Write it as one file, which "
    "is:\n"
    "  from torch.distributed.checkpoint import format_utils\n"
    '  format_utils.dcp_to_torch_save("{path}", "model.pt")'
)
_PIPELINE = (
    "this is a pipeline of diffusers; its tokens and their vectors are in "
    "{path}/text_encoder, name that"
)

# First bytes, and their meaning for a user who expected vectors.
_MARKS = {
    b"\x80": f"{_PICKLE}; as a source its arrays are read, if there are some",
    b"ccopy_reg\n_reconstructor\n": f"{_PICKLE}; of gensim's those of pickle protocol "
    "2 to 5 are read: load it with gensim, and save it again as model.save(path)",
    **dict.fromkeys((b"(dp0\n", b"(lp0\n", b"}q\0", b"]q\0", b"(lp1\n"), _OLD_PICKLE),
    **dict.fromkeys((b"x\x01", b"x^", b"x\x9c", b"x\xda"), _ZLIB),
    b"PK": "a zip archive without vectors; name its member as archive.zip#member",
    b"\x1f\x8b": f"gzip data {_UNPACK}",
    b"BZh": f"bzip2 data {_UNPACK}",
    b"\xfd7zXZ\x00": f"xz data {_UNPACK}",
    b"\x28\xb5\x2f\xfd": f"zstd data {_UNPACK}",
    b"\x04\x22\x4d\x18": "lz4 data; unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it first",
    b"Rar!\x1a": "a RAR archive; unpack it first",
    b"GGUF": "a model of llama.cpp (GGUF), which is a source of vectors",
    b"version https://git-lfs": "a git-lfs pointer, not the file itself; run "
    "'git lfs pull' or download the file",
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"%PDF": "a PDF",
    b"FEA1": "a Feather file of version 1; pandas.read_feather reads it, and "
    "frame.to_parquet(path) writes it again",
    b"SQLite format 3": "an SQLite database",
}
#: How many first lines are checked, and how many bytes at their ends.
_LINES, _LINE_END = 8, 200
#: How many doubles are checked, and the usual sizes of numbers in vectors.
_DOUBLES, _SMALLEST, _LARGEST = 64, 1e-9, 1e4

_HTML = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml)", re.IGNORECASE)
#: Lines of one word each, at least two.
_WORDS = re.compile(rb"[^\s\x00-\x1f]+\r?\n[^\s\x00-\x1f]+\r?(?:\n|$)")
_SWAPPED = (
    ". A list of words, one a line, is a vocabulary: give it as that (--vocab), and "
    "the vectors as the source; were the two swapped?"
)


def folder_diagnosis(folder: Path) -> str | None:
    """Return what a known folder is that is not read, and code that converts it.

    ``None`` for an unknown folder.
    """
    if (folder / "_versions").is_dir() and (folder / "data").is_dir():
        return f"this is a data set of {_LANCE.format(path=folder)}"
    if (folder / _SAVED_MODEL).is_file():
        return f"this is {_SAVED_VARIABLES.format(path=folder)}"
    if (folder / _DISTRIBUTED).is_file():
        return f"this is {_CHECKPOINT_OF_MANY.format(path=folder)}"
    if (folder / "model_index.json").is_file():
        return _PIPELINE.format(path=folder)
    states = sorted(folder.glob("global_step*/*model_states.pt"))
    states += sorted(folder.glob("*model_states.pt"))
    if states:
        return f"this is a checkpoint of DeepSpeed; name the file {states[0]}"
    return None


def diagnosis(head: bytes, stream: ByteStream) -> str:
    """Return a sentence on what a file with these first bytes is, and what to do."""
    if not head:
        return "the file is empty"
    if (path := stream.path) is not None:
        if path.name == _SAVED_MODEL:
            return f"this is of {_SAVED_VARIABLES.format(path=path.parent)}"
        if _end(path, len(_LANCE_END)) == _LANCE_END:
            return f"this is {_LANCE_FILE.format(path=path)}"
    if (what := mark_of(head)) is not None:
        return f"this is {what}"
    if _HTML.match(head):
        return "this is a web page, probably an error page saved under the file's name"
    if not head.strip(b"\0"):
        return "it begins with zeros only: nothing was written there; fetch it again"
    if head.lstrip().startswith((b"{", b"[[", b"[{", b'["')):
        return (
            "this is JSON; write its vectors as text, 'token number number ...' a row"
        )
    if (cause := _cause(head)) is not None:
        return f"its lines end in no numbers: {cause}"
    if _raw_numbers(head):
        return (
            "numbers without tokens, as GloVe writes with -binary 1; use the text file "
            "that it writes with -binary 0"
        )
    return (
        "not recognised as a file of vectors: text rows end in numbers, binary files "
        f"begin with 'count dim'; this begins {head[:40]!r}"
        f"{_SWAPPED if _WORDS.match(head) else ''}"
    )


def mark_of(head: bytes) -> str | None:
    """Return what the first bytes say a file is, and what to do; ``None`` if unknown.

    It is for files whose format is known by a name or another file.
    """
    known = (what for mark, what in _MARKS.items() if head.startswith(mark))
    return next(known, None)


def _end(path: Path, size: int) -> bytes:
    """Return the last bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - size))
            return file.read(size)
    except OSError:
        return b""


def _cause(head: bytes) -> str | None:
    """Return the fault of the numbers in at least half of the first lines."""
    # most files do not need it
    from pretrained_embed.formats.causes import CONTROLS, cause_of_row, most_common

    lines = [line[-_LINE_END:] for line in head.split(b"\n", _LINES)[:_LINES]]
    lines = [line for line in lines if line.strip()]
    if any(CONTROLS.search(line) for line in lines):
        return None
    causes = [cause_of_row(line) for line in lines]
    told = sum(cause is not None for cause in causes)
    return most_common(causes) if 2 * told >= len(lines) else None


def _raw_numbers(head: bytes) -> bool:
    """Return whether these are doubles of the usual sizes in vectors."""
    doubles = np.frombuffer(head[: len(head) // 8 * 8], "<f8")[:_DOUBLES]
    sizes = np.abs(doubles)
    return bool(len(sizes) and np.all((sizes > _SMALLEST) & (sizes < _LARGEST)))
