"""Text of numbers: ``np.float32(float(text))`` each, as the kernel's grammar has it."""

from __future__ import annotations

from collections.abc import Sequence

from pretrained_embed import kernel
from pretrained_embed.formats.records.reader import BadRecordError

#: Of fields of these alone `float` thinks as the kernel does.
_PLAIN = b"0123456789+-.eE,"
_SHOWN = 40


def numbers_of(fields: Sequence[str]) -> list[float]:
    """Return the numbers that fields are; raises `BadRecordError` naming one."""
    joined = ",".join(fields).encode("utf-8", "surrogateescape")
    if not joined.translate(None, _PLAIN):
        try:
            return [*map(float, fields)]
        except ValueError:
            pass  # one of them is none: which, is told below
    return [_number(field, place) for place, field in enumerate(fields, 1)]


def _number(field: str, place: int) -> float:
    found = _parsed(field)
    if found is None:
        raise BadRecordError(f"number {place:,} of the vector is {field[:_SHOWN]!r}")
    return found


def is_number(field: str) -> bool:
    """Whether a field is a number."""
    return _parsed(field) is not None


def _parsed(field: str) -> float | None:
    return kernel.number(field.strip(" ").encode("utf-8", "surrogateescape"))


def check_count(count: int, dim: int) -> None:
    """Raise `BadRecordError` where a vector has not as many numbers as the others."""
    if count != dim:
        code = "text.short-row" if count < dim else "text.long-row"
        raise BadRecordError(f"{count:,} numbers, {dim:,} expected", code)
