"""Malformed and suspicious rows: counted, described, and raised if asked.

The kernel reports faults by kind and place; this file turns them into sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pretrained_embed import kernel
from pretrained_embed.errors import BY_READER, RowError, TruncatedError
from pretrained_embed.formats.findings import EXAMPLES, Doubt, Findings

#: Bytes of a bad row that a message shows.
_EXCERPT = 60

_CODES = {
    kernel.EMPTY: "text.blank-line",
    kernel.SHORT: "text.short-row",
    kernel.NO_TOKEN: "text.row-without-token",
    kernel.BAD_NUMBER: "text.bad-number",
    kernel.WIDE: "text.surplus-number",
    kernel.LONG: "text.long-row",
    kernel.ODD_TOKEN: "text.odd-token",
}
#: Fields of another separator than the file has, by that of the file.
_OTHER = {
    b" ": (re.compile(rb"\t[-+]?\.?\d[^ \t]*(\t|$)"), "tabs", "spaces"),
    b"\t": (re.compile(rb" [-+]?\.?\d[^ \t]*( |$)"), "spaces", "tabs"),
}
_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?\s*[0-9]+[ \t]+[0-9]+\s*")


class Fault(NamedTuple):
    """One fault, with its row counted from the start of its part of the file."""

    row: int
    kind: int
    found: int
    excerpt: bytes
    cut: bool  # the file ends inside this row
    separator: bytes = b""  # between the numbers of the other rows

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
            why = "the token itself ends in a number or separator"
            if self.found >= 2 * dim > 2:
                why = (
                    "two rows stand in one, as where files are joined and the first "
                    "does not end in a line end"
                )
            return f"{self.found} fields follow the first, {dim} expected: {why}; {row}"
        return f"{self.found} values, {dim} expected; {row}"

    @property
    def code(self) -> str:
        """The key of the fault in `findings.CODES`."""
        if self.kind == kernel.SHORT and _HEADER.fullmatch(self.excerpt):
            return "header.repeated"
        return _CODES[self.kind]

    def doubt(self, dim: int, first_line: int | None = None) -> Doubt:
        """Return the fault as findings have it."""
        line = None if first_line is None else first_line + self.row
        return Doubt(self.row, line, self.sentence(dim), self.code)

    def _cause(self) -> str:
        """Say what probably went wrong, where the row lets it be seen."""
        if self.kind == kernel.WIDE:
            return ""
        if self.cut and self.kind == kernel.SHORT:
            return "; the file ends here: probably a cut download, fetch it again"
        if self.kind in (kernel.SHORT, kernel.BAD_NUMBER) and self.separator in _OTHER:
            mark, its, others = _OTHER[self.separator]
            if mark.search(self.excerpt):
                return f"; {its} separate its fields, where other rows have {others}"
        from pretrained_embed.formats.causes import cause_of_row  # most files need none

        cause = cause_of_row(self.excerpt)
        return "" if cause is None else f"; {cause}"


def blank_lines(rows: range) -> Iterator[Fault]:
    """Yield the faults that blank lines are, where rows follow them."""
    return (Fault(row, kernel.EMPTY, 0, b"", cut=False) for row in rows)


@dataclass
class Faults:
    """The faults of one part of a file, whose rows are counted from 0."""

    bad: int = 0
    suspicious: int = 0
    odd_tokens: int = 0
    first_odd: int = 0  # its row
    examples: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Count a fault, and keep it if it is one of the first.

        Of rows with an odd token, which are good, a note says where the first is.
        """
        if fault.kind == kernel.ODD_TOKEN:
            self.first_odd = self.first_odd if self.odd_tokens else fault.row
            self.odd_tokens += 1
            return
        if fault.kind == kernel.WIDE:
            self.suspicious += 1
        else:
            self.bad += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(fault)

    def findings(self, rows: int, dim: int) -> Findings:
        """Return the findings of the part, which has so many rows."""
        doubts = [fault.doubt(dim) for fault in self.examples]
        return Findings(rows, self.bad, self.suspicious, doubts=doubts)


def row_error(
    fault: Fault, name: str, line: int, dim: int
) -> RowError | TruncatedError:
    """Return the error for a bad row that may not be skipped."""
    what = fault.sentence(dim)
    message = f"{name}, line {line:,}: {what}. Mend the row"
    if fault.cut and fault.kind == kernel.SHORT:
        return TruncatedError(message, code=fault.code, way=BY_READER)
    return RowError(message, line=line, found=what, code=fault.code, way=BY_READER)
