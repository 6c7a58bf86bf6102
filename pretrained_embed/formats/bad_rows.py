"""How many malformed rows may be left out before the file itself is in doubt."""

from __future__ import annotations

from pretrained_embed.errors import RowError
from pretrained_embed.formats.findings import Doubt, Findings

_NAMED = 3


def check_bad_rows(findings: Findings, most: int | float, name: str) -> None:
    """Raise `RowError`, which names the first few, if a file has more than allowed.

    ``most`` is a number of rows, or as a ``float`` a share of them.
    """
    # 0.29 of 100 rows are 28.999..., and are 29 rows to whoever asked for them
    share = int(most * findings.rows + 1e-6)
    allowed = most if isinstance(most, int) else share
    if findings.bad_rows <= allowed:
        return
    first = findings.doubts[:_NAMED]
    line = first[0].line if first else None
    found = "; ".join(_sentence(doubt) for doubt in first)
    raise RowError(
        f"{name}: {findings.bad_rows:,} of {findings.rows:,} rows are malformed, "
        f"{allowed:,} may be (bad_rows={most}). The first: {found}. If so many "
        "are bad, the file is probably not what it should be: get it again, or allow "
        "more",
        line=line,
        found=found,
    )


def _sentence(doubt: Doubt) -> str:
    place = f"row {doubt.row:,}" if doubt.line is None else f"line {doubt.line:,}"
    return f"{place}: {doubt.what}"
