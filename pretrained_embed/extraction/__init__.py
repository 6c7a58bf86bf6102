"""The rows wanted of a source, extracted split by split, by any executor.

`Job` says what to look for and where, `scan_split` scans one split of the source in
any process, `extract` has an executor do so for all of them. What comes of it is read
range by range, as a source of its own: `RangeReader`.
"""

from pretrained_embed.extraction.job import Job, same_file, state_of
from pretrained_embed.extraction.outcome import Outcome
from pretrained_embed.extraction.range_reader import Extracted, RangeReader
from pretrained_embed.extraction.running import extract
from pretrained_embed.extraction.scanning import scan_split
from pretrained_embed.extraction.wanted import WantedTokens
from pretrained_embed.extraction.work_folder import (
    WorkFolder,
    finished,
    wanted_path,
    work_folder,
)

__all__ = [
    "Extracted",
    "Job",
    "Outcome",
    "RangeReader",
    "WantedTokens",
    "WorkFolder",
    "extract",
    "finished",
    "same_file",
    "scan_split",
    "state_of",
    "wanted_path",
    "work_folder",
]
