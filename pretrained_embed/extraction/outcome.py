"""What scanning a split comes to, as it is handed over and as it lies on the disk."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pretrained_embed.arrays import Int64Array
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.extraction.gathering import Section, bounds_size, read_section
from pretrained_embed.files.reading import read_fully
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.reader import Doubt, Findings
from pretrained_embed.formats.scanned import SplitReport

_DAMAGED = "an extract of this build is damaged"
_REMEDY = "; remove the folder it is in, and run the build again"


@dataclass(frozen=True)
class Extract:
    """One extract: in a file, or its bytes."""

    size: int
    crc32: int
    path: SafePath | None = None
    data: bytes = b""

    def bounds(self, ranges: int) -> Int64Array:
        """Return where its sections begin, int64 (ranges + 1,)."""
        length = bounds_size(ranges)
        end = self.size - length
        bounds = np.frombuffer(self._read(max(end, 0), length), np.int64)
        if bounds[0] != 0 or bounds[-1] != end or (bounds[1:] < bounds[:-1]).any():
            raise SourceError(f"{self.path}: {_DAMAGED}{_REMEDY}")
        return bounds

    def section(self, begin: int, end: int, dim: int) -> Section | None:
        """Return the section of these bytes; raises `SourceError` if they are gone."""
        if begin == end:
            return None
        raw = self._read(begin, end - begin)
        with refusing_damage(str(self.path), _DAMAGED, _REMEDY, kind=SourceError):
            return read_section(raw, dim)

    def _read(self, begin: int, length: int) -> bytes:
        if self.path is None:
            return self.data[begin : begin + length]
        try:
            with self.path.open(buffering=0) as file:
                file.seek(begin)
                raw = read_fully(file, length)
        except OSError as error:
            raise SourceError(
                f"{self.path}: an extract of this build cannot be read: "
                f"{error.strerror}; run the build again"
            ) from error
        if len(raw) < length:
            raise SourceError(
                f"{self.path}: an extract of this build has become shorter; run the "
                "build again"
            )
        return raw

    def is_whole(self) -> bool:
        """Whether the file has the bytes that were written to it."""
        if self.path is None:
            return True
        size = crc = 0
        try:
            with self.path.open(buffering=0) as file:
                while block := file.read(1 << 20):
                    size += len(block)
                    crc = zlib.crc32(block, crc)
        except OSError:
            return False
        return (size, crc) == (self.size, self.crc32)


@dataclass(frozen=True)
class Outcome:
    """The report of a split, and its extracts in order."""

    report: SplitReport
    extracts: list[Extract]

    def to_record(self, key: str) -> bytes:
        """Return the record that is kept of a split of a job, unless it was stopped."""
        findings = self.report.findings
        facts = {
            "key": key,
            "findings": asdict(findings)
            | {"doubts": [list(doubt) for doubt in findings.doubts]},
            "read": self.report.read,
            "blank_end": self.report.blank_end,
            "skips": self.report.skips,
            "extracts": [
                {
                    "file": extract.path.name,
                    "size": extract.size,
                    "crc32": extract.crc32,
                }
                for extract in self.extracts
                if extract.path is not None
            ],
        }
        text = json.dumps(facts).encode("ascii")
        return b"%08x\n" % zlib.crc32(text) + text

    @classmethod
    def from_record(cls, record: bytes, key: str, folder: SafePath) -> Outcome | None:
        """Read a record; ``None`` for one that is damaged or of another job."""
        crc, _, text = record.partition(b"\n")
        if crc != b"%08x" % zlib.crc32(text):
            return None
        try:
            with refusing_damage(str(folder)):
                facts = json.loads(text)
                return _outcome(facts, folder) if facts["key"] == key else None
        except FormatError:
            return None


def _outcome(facts: Any, folder: SafePath) -> Outcome:
    """Return what a record says; raises `ValueError` and the like if it is none."""
    findings = facts["findings"]
    doubts = [Doubt(*map(_checked, doubt, _DOUBT)) for doubt in findings["doubts"]]
    counts = {
        name: _checked(findings[name], int)
        for name in ("rows", "bad_rows", "suspicious_rows", "duplicates")
    }
    notes = [_checked(note, str) for note in findings["notes"]]
    report = SplitReport(
        Findings(**counts, doubts=doubts, notes=notes),
        read=_checked(facts["read"], int),
        blank_end=_checked(facts["blank_end"], int),
        skips=_checked(facts["skips"], bool),
    )
    extracts = [
        Extract(
            _checked(entry["size"], int),
            _checked(entry["crc32"], int),
            folder / _checked(entry["file"], str),
        )
        for entry in facts["extracts"]
    ]
    return Outcome(report, extracts)


#: What the fields of a `Doubt` are.
_DOUBT = (int, int | None, str, str | None)


def _checked(value: Any, kind: Any) -> Any:
    """Return a value of this kind, a number that is not below 0."""
    if not isinstance(value, kind) or (type(value) is int and value < 0):
        raise ValueError(f"{value!r:.60} is no {kind}")
    return value
