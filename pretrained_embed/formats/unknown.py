"""Saying what a file is that no format recognises."""

from __future__ import annotations

import re

# First bytes, and what they mean to somebody who expected vectors.
_MARKS = {
    b"\x80": "a Python pickle, which can run any code and is never opened; if gensim "
    "wrote it, save it there with save_word2vec_format",
    b"\x1f\x8b": "gzip data inside the archive; unpack it once more",
    b"PK": "a zip archive without vectors; name its member as archive.zip#member",
    b"\xba\x16\x4f\x2f": "a fastText model (.bin); use the .vec file that comes "
    "with it",
    b"version https://git-lfs": "a git-lfs pointer, not the file itself; run "
    "'git lfs pull' or download the file",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
    b"%PDF": "a PDF",
    b"ARROW1": "an Arrow file",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "an SQLite database",
}
_HTML = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml)", re.IGNORECASE)
_SPARSE = re.compile(rb"[^\n]*?[ \t]\d+:-?\d")


def diagnosis(head: bytes) -> str:
    """Say in a sentence what a file with this head is, and what to do."""
    if not head:
        return "the file is empty"
    for mark, what in _MARKS.items():
        if head.startswith(mark):
            return f"this is {what}"
    if _HTML.match(head):
        return "this is a web page, probably an error page saved under the file's name"
    if any(_SPARSE.match(line) for line in head.split(b"\n", 3)[:3]):
        return "these are sparse vectors (index:value); only dense ones can be read"
    return (
        "not recognised as a file of vectors: text rows end in numbers, binary files "
        f"begin with 'count dim'; this begins {head[:40]!r}"
    )
