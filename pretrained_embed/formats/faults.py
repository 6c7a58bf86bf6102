"""Malformed and suspicious rows: counted, described, and raised if asked.

The kernel reports faults by kind and place; this file turns them into sentences.
"""

from __future__ import annotations

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
        row = f"the row begins {self.excerpt[:_EXCERPT]!r}"
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
        cause = self._cause() if self.kind == kernel.SHORT else ""
        return f"{self.found} values, {dim} expected; {row}{cause}"

    def _cause(self) -> str:
        if self.cut:
            return "; the file ends here: probably a cut download, fetch it again"
        for mark, cause in _CAUSES.items():
            if self.excerpt.startswith(mark):
                return f"; {cause}"
        return ""


_CAUSES = {
    b"<<<<<<<": "a git merge left its marks in the file",
    b"=======": "a git merge left its marks in the file",
    b">>>>>>>": "a git merge left its marks in the file",
    b"<": "this looks like HTML, not like vectors",
}


@dataclass
class Faults:
    """The faults of one part of a file."""

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

    def report(self, findings: Findings, rows_before: int, line: int, dim: int) -> None:
        """Add these faults to the findings of the whole file.

        ``rows_before`` rows come before this part, whose first row is ``line``.
        """
        findings.bad_rows += self.bad
        findings.suspicious_rows += self.suspicious
        for fault in self.examples[: EXAMPLES - len(findings.doubts)]:
            findings.doubts.append(
                Doubt(rows_before + fault.row, line + fault.row, fault.sentence(dim))
            )


def row_error(
    fault: Fault, name: str, line: int, dim: int
) -> RowError | TruncatedError:
    """Return the error for a bad row that may not be skipped."""
    what = fault.sentence(dim)
    message = f"{name}, line {line:,}: {what}. {_ADVICE}"
    if fault.cut and fault.kind == kernel.SHORT:
        return TruncatedError(message)
    return RowError(message, line=line, found=what)
