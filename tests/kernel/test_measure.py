"""Measuring lines: both kernels see the same shapes, wherever fields stand."""

from __future__ import annotations

from random import Random
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels import BLANK, exactly

from pretrained_embed import kernel

FIELDS = [b"0.5", b"-1.25", b"12", b"-3", b"+4", b"1e5", b"1.5e-05", b"2E+3"]
ODD = [b"nan", b"-inf", b"Infinity", b".5", b"5.", b".", b"-", b"e5", b"1e", b"1e-"]
ODD += [b"1.2.3", b"1e5e5", b"1e5.5", b"--5", b"5-", b"w", b"\xc2\xa0", b"0,5", b"1_0"]
ODD += [b"123456789.12345678", b"0x1", b"\r", b"1.5e-5.", b".e5", b"1-2", b"9" * 30]
GAPS = [b"\t", b"  ", b"\t\t", b" \t", b"\t ", b"\n", b"\r\n", b"\n\n", b" \r\r\n"]


def measure(
    implementation: ModuleType,
    data: bytes,
    *,
    span: tuple[int, int] | None = None,
    final: bool = True,
    room: int = 99,
) -> tuple[tuple[int, ...], list[list[int]]]:
    shapes = np.full((room, kernel.SHAPE_COLUMNS), BLANK, np.int64)
    start, stop = span or (0, len(data))
    result = implementation.measure_text(exactly(data), start, stop, final, shapes)
    assert (shapes[result[1] :] == BLANK).all()
    return tuple(result), shapes[: result[1]].tolist()


# begin, end, numbers, alike, between, before, near, far, front, lead
SP, TAB, SPS, MIX = kernel.SPACE, kernel.TAB, kernel.SPACES, kernel.MIXED_TAB
MEANINGS = {
    b"the 1 2.5": (9, 2, 2, SP, SP, 1, 1, (0, 3), 0),
    b"the 1 2.5 \r\r": (9, 2, 2, SP, SP, 1, 1, (0, 3), 0),
    b"7 1 2": (5, 2, 2, SP, SP, 0, 0, (0, 1), 1),
    b"7.5 1 2": (7, 2, 2, SP, SP, 0, 0, (0, 3), 2),
    b"a b 1\t2": (7, 2, 2, TAB, SP, 0, 0, (2, 3), 0),
    b"a 1.5\t2\t3": (9, 3, 3, TAB, SP, 3, 3, (0, 1), 0),
    b"a 1.5 2\t3 4": (11, 4, 2, SP, TAB, 4, 4, (0, 1), 0),
    b" 1 2": (4, 2, 2, SP, SP, 0, 0, (0, 0), 0),
    b"a  1": (4, 1, 1, 0, SPS, 0, 0, (0, 1), 0),
    b"a \t1": (4, 1, 1, 0, MIX, 0, 0, (0, 1), 0),
    b"a 1 x": (5, 0, 0, 0, 0, 0, 0, (4, 5), 0),
    b"": (0, 0, 0, 0, 0, 0, 0, (0, 0), 0),
    b" \t ": (0, 0, 0, 0, 0, 0, 0, (0, 0), 0),
}


@pytest.mark.parametrize(("line", "meaning"), MEANINGS.items())
def test_a_shape_means_what_the_reference_says(both_kernels, line, meaning):
    end, *numbers, front, lead = meaning

    _, (other, shape) = measure(both_kernels, b"x 1\n" + line + b"\n")

    assert other[:3] == [0, 3, 1]
    assert shape[:2] == [4, 4 + end]
    assert shape[2:8] == numbers
    assert shape[8:10] == [4 + place for place in front]
    assert shape[10] == lead


def test_wide_gaps_between_numbers_are_counted(both_kernels):
    _, (shape,) = measure(both_kernels, b"a\t1 2  3\t\t4 5")

    assert divmod(shape[11], 1 << 32) == (kernel.TAB, 2)


def test_lines_are_whole_and_as_many_as_there_is_room_for(both_kernels):
    data = b"a 1\nb 2\nc 3"

    assert measure(both_kernels, data, final=False)[0] == (8, 2)
    assert measure(both_kernels, data)[0] == (11, 3)
    assert measure(both_kernels, data, room=1)[0] == (4, 1)
    assert measure(both_kernels, data, room=0)[0] == (0, 0)
    assert measure(both_kernels, data, span=(4, 8))[1][0][:2] == [4, 7]
    for span in ((-1, 3), (3, 2), (0, 12)):
        if both_kernels.IMPLEMENTATION == "native":
            with pytest.raises(ValueError, match="do not fit"):
                measure(both_kernels, data, span=span)


@given(st.integers(0, 2**32))
def test_both_kernels_measure_alike(kernel_pair, seed):
    random = Random(seed)
    blank = random.choice([b" ", b"\t"])
    gaps = random.choice([[blank] * 200 + GAPS, [blank] * 9 + GAPS, GAPS])
    fields = random.choice([FIELDS * 30 + ODD, FIELDS, FIELDS + ODD, FIELDS[2:4]])
    data = b"".join(
        part
        for _ in range(random.randrange(90))
        for part in (random.choice(fields), random.choice(gaps))
    )[: random.choice([None, -1, -9])]
    begin = random.choice([0, 0, len(data) // 3])
    options = {
        "span": (begin, len(data) - len(data) // random.choice([1000, 5])),
        "final": random.random() < 0.5,
        "room": random.choice([1, 3, 200]),
    }

    native, reference = (measure(each, data, **options) for each in kernel_pair)

    assert native == reference
