"""Numbers, tables and lists of facts as text that lines up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_UNITS = ("kB", "MB", "GB", "TB")


def size(count: float | None) -> str:
    """Return a number of bytes in decimal units; ``"?"`` where it is not known.

    >>> size(999), size(69_182_535), size(None)
    ('999 B', '69.2 MB', '?')
    """
    if count is None:
        return "?"
    if count < 1000:
        return f"{count:.0f} B"
    power = 1
    while power < len(_UNITS) and count >= 999.95 * 1000**power:
        power += 1
    return f"{count / 1000**power:.1f} {_UNITS[power - 1]}"


def number(count: int | None) -> str:
    """Return a number with its thousands apart; ``"?"`` where it is not known."""
    return "?" if count is None else f"{count:,}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a number and its noun.

    >>> plural(1, "row"), plural(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()
) -> str:
    """Return rows in columns two spaces apart; the columns ``right`` end together."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    ends = set(right)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i in ends else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def facts(pairs: Iterable[tuple[str, str | None]]) -> str:
    """Return names and values, one pair a line; values that are ``None`` left out."""
    known = [(name, value) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    return "\n".join(f"{name:{width}}  {value}" for name, value in known)
