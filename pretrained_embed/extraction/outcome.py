"""What scanning a split comes to, as it is handed over and as it lies on the disk."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass

import numpy as np

from pretrained_embed.arrays import Int64Array
from pretrained_embed.errors import SourceError
from pretrained_embed.extraction.gathering import Section, bounds_size, read_section
from pretrained_embed.files.reading import read_fully
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.reader import Doubt, Findings
from pretrained_embed.formats.scanned import SplitReport


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
        return np.frombuffer(self._read(self.size - length, length), np.int64)

    def section(self, begin: int, end: int, dim: int) -> Section | None:
        """Return the section of these bytes; raises `SourceError` if they are gone."""
        if begin == end:
            return None
        return read_section(self._read(begin, end - begin), dim)

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
        facts = json.loads(text)
        if facts["key"] != key:
            return None
        findings = facts["findings"]
        doubts = [Doubt(*doubt) for doubt in findings["doubts"]]
        return cls(
            SplitReport(
                Findings(**findings | {"doubts": doubts}),
                read=facts["read"],
                blank_end=facts["blank_end"],
                skips=facts["skips"],
            ),
            [
                Extract(entry["size"], entry["crc32"], folder / entry["file"])
                for entry in facts["extracts"]
            ],
        )
