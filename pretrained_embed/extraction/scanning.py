"""Scanning one split of one source for one index, in whatever process."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from pretrained_embed.arrays import Progress, UInt8Array
from pretrained_embed.errors import WriteError
from pretrained_embed.extraction.gathering import Gathering
from pretrained_embed.extraction.job import Job
from pretrained_embed.extraction.outcome import Extract, Outcome
from pretrained_embed.files.safe_path import SafePath


def scan_split(job: Job, number: int, progress: Progress | None = None) -> Outcome:
    """Scan a split for the tokens that are wanted, and return what was found.

    With a folder the extracts are written there and then, once they are all there, a
    record of the outcome: whoever finds it need not scan the split again. Without one
    they are in what is returned. Raises what reading the source raises, and
    `WriteError`.
    """
    reader, index = job.opened()
    scan = reader.scan(job.splits[number], index, job.on_bad_row)
    gathering = Gathering(index, job.ranges, job.dim)
    extracts: list[Extract] = []

    def close() -> None:
        if pieces := gathering.extract():
            name = f"{_name(number)}-{len(extracts):04}.extract"
            extracts.append(_keep(pieces, job.folder / name if job.folder else None))

    for found in scan.run(progress):
        if gathering.is_full_for(found):
            close()
        gathering.add(found)
    close()
    outcome = Outcome(scan.report(), extracts)
    if job.folder is not None and outcome.report.stopped_by is None:
        _write(record_path(job.folder, number), [outcome.to_record(job.key)])
    return outcome


def record_path(folder: SafePath, number: int) -> SafePath:
    """Return where the record of a split is."""
    return folder / f"{_name(number)}.json"


def scan_again(job: Job, number: int, attempt: int) -> Outcome:
    """Scan a split as `scan_split` does.

    ``attempt`` tells the calls apart for executors that give equal calls one result.
    """
    return scan_split(job, number)


def _name(number: int) -> str:
    return f"split-{number:06}"


def _keep(pieces: Sequence[UInt8Array], path: SafePath | None) -> Extract:
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece.data, crc)
    size = sum(len(piece) for piece in pieces)
    if path is None:
        data = b"".join(piece.data for piece in pieces)
        return Extract(size, crc, data=data)
    _write(path, [piece.data for piece in pieces])
    return Extract(size, crc, path)


def _write(path: SafePath, parts: Sequence[bytes | memoryview]) -> None:
    """Write a file that appears whole; it is checked if it is used later."""
    try:
        with path.replacing() as file:
            for part in parts:
                file.write(part)
    except OSError as error:
        raise WriteError(
            f"cannot write {path}: {error.strerror or error}; rows wait there until "
            "all of the source is read. What is finished is used when the build is run "
            "again."
        ) from error
