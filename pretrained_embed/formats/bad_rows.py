"""How many malformed rows may be left out before the file itself is in doubt."""

from __future__ import annotations

from pretrained_embed.errors import OptionError, RowError
from pretrained_embed.formats.findings import Doubt, Findings

#: A number of rows, a share of them from 0.0 to 1.0, or ``None`` for no limit.
MaxBadRows = int | float | None

_NAMED = 3


def check_max_bad_rows(allowed: MaxBadRows) -> None:
    """Raise `OptionError` for what is neither a number of rows nor a share."""
    if allowed is None:
        return
    number = isinstance(allowed, int | float) and not isinstance(allowed, bool)
    if not number or not 0 <= allowed <= (1 if isinstance(allowed, float) else allowed):
        raise OptionError(
            f"max_bad_rows is {allowed!r}; it can be a number of rows, or a share from "
            "0.0 to 1.0"
        )


def check_bad_rows(findings: Findings, most: MaxBadRows, name: str) -> None:
    """Raise `RowError`, which names the first few, if a file has more than allowed."""
    if most is None:
        return
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
        f"{allowed:,} may be (max_bad_rows={most}). The first: {found}. If so many "
        "are bad, the file is probably not what it should be: get it again, or allow "
        "more",
        line=line,
        found=found,
    )


def _sentence(doubt: Doubt) -> str:
    place = f"row {doubt.row:,}" if doubt.line is None else f"line {doubt.line:,}"
    return f"{place}: {doubt.what}"
