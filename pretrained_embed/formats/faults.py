"""Malformed and suspicious rows: counted, described, and raised if asked.

The kernel reports faults by kind and place; this file turns them into sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from pretrained_embed import kernel
from pretrained_embed.errors import RowError, TruncatedError
from pretrained_embed.formats.reader import EXAMPLES, Doubt, Findings

#: Bytes of a bad row that a message shows.
_EXCERPT = 60

_ADVICE = "Mend the row, or pass on_bad_row='skip' to leave such rows out, counted."


class Fault(NamedTuple):
    """One fault, with its row counted from the start of its part of the file."""

    row: int
    kind: int
    found: int
    excerpt: bytes
    cut: bool  # the file ends inside this row

    def sentence(self, dim: int) -> str:
        """Say what is wrong with the row."""
        row = f"the row begins {self.excerpt[:_EXCERPT]!r}{self._cause()}"
        if self.kind == kernel.EMPTY:
            return "blank line"
        if self.kind == kernel.NO_TOKEN:
            return f"no token before the {dim} values; {row}"
        if self.kind == kernel.BAD_NUMBER:
            return f"value {self.found} of {dim} is not a number; {row}"
        if self.kind == kernel.WIDE:
            return (
                f"{self.found} fields follow the first, {dim} expected: the token "
                f"itself ends in a number or separator; {row}"
            )
        return f"{self.found} values, {dim} expected; {row}"

    def _cause(self) -> str:
        """Say what probably went wrong, where the row lets it be seen."""
        if self.kind == kernel.WIDE:
            return ""
        if self.cut and self.kind == kernel.SHORT:
            return "; the file ends here: probably a cut download, fetch it again"
        return next((f"; {c}" for mark, c in _CAUSES if mark.search(self.excerpt)), "")


_CAUSES = [
    (re.compile(mark), cause)
    for mark, cause in (
        (rb"^(<<<<<<<|=======|>>>>>>>)", "a git merge left its marks in the file"),
        (rb"^\s*<[/!a-zA-Z][^ ]*(>| \w+=)", "this looks like HTML, not like vectors"),
        (rb"\0\0\0\0", "zeros fill the place of text: fetch the file again"),
        (rb" -?\d+,\d+ -?\d+,\d", "the numbers have decimal commas; write points"),
        (rb"(,-?\d[^, ]*){2}", "commas separate the numbers; write spaces or tabs"),
        (rb"(;-?\d[^; ]*){2}", "semicolons separate the numbers; write spaces or tabs"),
        (rb" -?\d[^ ]*\t-?\d|\t-?\d[^\t]* -?\d", "tabs and spaces are mixed"),
        (rb"\d  +-?[\d.]", "two spaces stand side by side; write one"),
    )
]


@dataclass
class Faults:
    """The faults of one part of a file, whose rows are counted from 0."""

    bad: int = 0
    suspicious: int = 0
    examples: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Count a fault, and keep it if it is one of the first."""
        if fault.kind == kernel.WIDE:
            self.suspicious += 1
        else:
            self.bad += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(fault)

    def findings(self, rows: int, dim: int) -> Findings:
        """Return the findings of the part, which has so many rows."""
        doubts = [
            Doubt(fault.row, None, fault.sentence(dim)) for fault in self.examples
        ]
        return Findings(rows, self.bad, self.suspicious, doubts=doubts)


def row_error(
    fault: Fault, name: str, line: int, dim: int
) -> RowError | TruncatedError:
    """Return the error for a bad row that may not be skipped."""
    what = fault.sentence(dim)
    message = f"{name}, line {line:,}: {what}. {_ADVICE}"
    if fault.cut and fault.kind == kernel.SHORT:
        return TruncatedError(message)
    return RowError(message, line=line, found=what)
