"""Scanning text: both kernels see the same rows, hits and faults, however cut."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kernels import ATOMS, WANTED, Read, bits, read_text, scan_text, token_index

from pretrained_embed import kernel

VALUES = [b"0", b"1", b"-0.25", b"0.071549", b"-1.5e-3", b"12345678.12345678", b"nan"]
VALUES += [b"1.0000000596046447753906251"]  # needs the slow way
BAD_VALUES = [b"", b"x", b"1_0", b"\xc2\xa01", b"0.5.", b"1\t2", b"1 2"]

tokens = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=2).map(b"".join)
tokens |= st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b""))
values = st.sampled_from(VALUES) | st.sampled_from(VALUES) | st.sampled_from(BAD_VALUES)
tails = st.sampled_from(
    [b"", b"", b"\r", b" ", b"  \r", b"\r\r", b"\t", b" \r ", b"\r\t"]
)
layouts = st.sampled_from(
    [(b" ", b" "), (b"\t", b"\t"), (b" ", b"\t"), (b",", b" "), (b"\r", b"\r")]
)
dims = st.integers(1, 5)
rooms = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def lines(draw, dim: int, separator: bytes, delimiter: bytes) -> bytes:
    """A row, now and then too short, too long, or with something odd about it."""
    count = dim + draw(st.sampled_from([0, 0, 0, 0, -1, 1, 2]))
    numbers = [draw(values) for _ in range(count)]
    odd = draw(st.sampled_from([delimiter] * 8 + [separator, delimiter * 2, b""]))
    line = draw(tokens) + odd + separator.join(numbers) + draw(tails)
    return draw(
        st.sampled_from([line] * 8 + [b"", b" ", b"\r", line[: len(line) // 2]])
    )


@st.composite
def texts(draw, most_rows: int = 8) -> tuple[bytes, dict[str, object]]:
    separator, delimiter = draw(layouts)
    dim = draw(dims)
    rows = draw(st.lists(lines(dim, separator, delimiter), max_size=most_rows))
    text = b"\n".join(rows) + draw(st.sampled_from([b"\n", b"\n", b"", b"\n\n"]))
    return text, {"dim": dim, "separator": separator, "delimiter": delimiter}


indexes = st.sampled_from([None, WANTED, []])


@given(
    text=texts(),
    wanted=indexes,
    final=st.booleans(),
    room=rooms | st.just((64, 64)),
    cuts=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
@example((b"\r\n \n\t\n", {"dim": 1}), None, True, (64, 64), (0, 0))
def test_both_kernels_scan_a_text_alike(kernel_pair, text, wanted, final, room, cuts):
    data, layout = text
    start = min(cuts[0], len(data))
    span = (start, max(start, len(data) - cuts[1]))

    native, reference = (
        scan_text(
            implementation,
            token_index(implementation, wanted),
            data,
            span=span,
            final=final,
            room=room,
            **layout,
        )
        for implementation in kernel_pair
    )

    assert native == reference


@given(data=st.binary(max_size=200), wanted=indexes, dim=dims, layout=layouts)
def test_both_kernels_make_the_same_of_any_bytes(
    kernel_pair, data, wanted, dim, layout
):
    native, reference = (
        scan_text(
            implementation,
            token_index(implementation, wanted),
            data,
            dim=dim,
            separator=layout[0],
            delimiter=layout[1],
        )
        for implementation in kernel_pair
    )

    assert native == reference


@given(text=texts(most_rows=4), wanted=indexes, room=rooms)
def test_a_text_may_be_cut_at_every_byte(kernel_pair, text, wanted, room):
    data, layout = text
    for implementation in kernel_pair:
        index = token_index(implementation, wanted)
        whole = read_text(implementation, index, [data], **layout)

        for cut in range(len(data) + 1):
            parts = [data[:cut], data[cut:]]
            assert read_text(implementation, index, parts, **layout) == whole
        bytewise = [data[i : i + 1] for i in range(len(data))] or [b""]
        assert read_text(implementation, index, bytewise, room=room, **layout) == whole
        assert whole.rest == b""
        assert whole.rows == data.count(b"\n") + (data[-1:] not in (b"", b"\n"))


@given(text=texts(), wanted=indexes)
def test_every_line_is_a_hit_a_miss_or_a_fault(kernel_pair, text, wanted):
    data, layout = text
    for implementation in kernel_pair:
        read = read_text(
            implementation, token_index(implementation, wanted), [data], **layout
        )

        read_all_the_same = (kernel.WIDE, kernel.ODD_TOKEN)
        bad = {row for row, kind, *_ in read.faults if kind not in read_all_the_same}
        assert len({fault[0] for fault in read.faults}) == len(read.faults)
        assert not bad & {hit.row for hit in read.hits}
        if wanted is None:
            assert bad | {hit.row for hit in read.hits} == set(range(read.rows))


# What a line means, written out. dim is 2; * stands for the separator.
MEANINGS = {
    b"the 1 2": (b"the", None),
    b"the 1 2\r": (b"the", None),
    b"the 1 2 ": (b"the", None),
    b"the 1 2  \r": (b"the", None),
    b"the 1 2\r\r": (b"the", None),
    b"the 1 2 \r\r\r": (b"the", None),
    b"the 1 2 \r ": (None, (kernel.BAD_NUMBER, 2)),
    b"new york 1 2": (b"new york", None),
    b" 1 2": (None, (kernel.NO_TOKEN, 0)),
    b"  1 2": (b" ", (kernel.WIDE, 3)),
    b"the  1 2": (b"the ", (kernel.WIDE, 3)),
    b"the 1  2": (None, (kernel.BAD_NUMBER, 1)),
    b"the 1 2 3": (b"the 1", (kernel.WIDE, 3)),
    b"route 66 1 2": (b"route 66", (kernel.WIDE, 3)),
    b"66 1 2": (b"66", None),
    b"\xc2\xa0 1 2": (b"\xc2\xa0", None),
    b"\xc2\x85 1 2": (b"\xc2\x85", None),
    b"\xff\xfe 1 2": (b"\xff\xfe", None),
    b"\t 1 2": (b"\t", None),
    b"a\rb 1 2": (b"a\rb", None),
    b"a\0b 1 2": (b"a\0b", None),
    b"the\t1 2": (None, (kernel.SHORT, 1)),
    b"the 1": (None, (kernel.SHORT, 1)),
    b"the": (None, (kernel.SHORT, 0)),
    b"": (None, (kernel.EMPTY, 0)),
    b"\r": (None, (kernel.EMPTY, 0)),
    b"   ": (None, (kernel.EMPTY, 0)),
    b"the 1 2\xc2\xa0": (None, (kernel.BAD_NUMBER, 2)),
    b"\xef\xbb\xbfthe 1 2": (b"\xef\xbb\xbfthe", (kernel.ODD_TOKEN, 0)),
    b"\xef\xbb\xbf 1 2": (b"\xef\xbb\xbf", None),
}


@pytest.mark.parametrize(("line", "meaning"), MEANINGS.items())
def test_a_line_means_what_the_reference_says(both_kernels, line, meaning):
    token, fault = meaning

    read = read_text(both_kernels, None, [line + b"\n"], dim=2)

    assert [hit.token for hit in read.hits] == ([] if token is None else [token])
    assert [found[1:3] for found in read.faults] == ([] if fault is None else [fault])


# The same where a tab parts the token from a vector whose values spaces part.
APART = {
    b"the\t1 2": (b"the", None),
    b"new york\t1 2 ": (b"new york", None),
    b"66\t1 2": (b"66", None),
    b"a\tb\t1 2": (b"a\tb", None),
    b"the\t1 2 3": (None, (kernel.LONG, 3)),
    b"new york\t1 2 3": (None, (kernel.LONG, 3)),
    b"new york city\t1": (None, (kernel.SHORT, 1)),
    b"the\t": (None, (kernel.SHORT, 0)),
    b"the": (None, (kernel.SHORT, 1)),
    b"the 1 2": (None, (kernel.LONG, 3)),
    b"1 2": (None, (kernel.NO_TOKEN, 0)),
    b"\t1 2": (None, (kernel.NO_TOKEN, 0)),
    b"the\t1  2": (None, (kernel.LONG, 3)),
    b"the\t1 x": (None, (kernel.BAD_NUMBER, 2)),
    b"": (None, (kernel.EMPTY, 0)),
}


@pytest.mark.parametrize(("line", "meaning"), APART.items())
def test_a_delimiter_of_its_own_shows_where_the_vector_begins(
    both_kernels, line, meaning
):
    token, fault = meaning

    read = read_text(
        both_kernels, None, [line + b"\n"], dim=2, separator=b" ", delimiter=b"\t"
    )

    assert [hit.token for hit in read.hits] == ([] if token is None else [token])
    assert [found[1:3] for found in read.faults] == ([] if fault is None else [fault])


def test_numbers_of_rows_that_are_not_wanted_are_not_read(both_kernels):
    index = token_index(both_kernels, [(b"of", 0, 0)])

    read = read_text(both_kernels, index, [b"the x y\nof 1 2\n"], dim=2)

    assert [hit.token for hit in read.hits] == [b"of"]
    assert read.faults == []
    assert read.rows == 2


@pytest.mark.parametrize("dim", [1, 7, 15, 16, 17, 63, 64, 65, 300, 5000])
def test_long_rows_read_right_at_every_offset(kernel_pair, dim):
    numbers = [f"{(-1) ** i * i / 7:.5f}" for i in range(dim)]
    expected = tuple(bits([float(number) for number in numbers]))
    for shift in range(0, 70, 3 if dim < 1000 else 23):
        data = ("x" * (shift + 1) + " " + " ".join(numbers) + "\n").encode()
        for implementation in kernel_pair:
            read = read_text(implementation, None, [data * 2], dim=dim)

            assert [hit.vector for hit in read.hits] == [expected, expected]
            short = read_text(implementation, None, [data], dim=dim + 1)
            assert short.faults == [(0, kernel.SHORT, dim, 0)]


wide_fields = st.sampled_from([b"0.5", b"-1.25", b"9.12345678", b"-0.00000001"])
wide_fields |= st.sampled_from([*VALUES, b"10.5", b"-.5", b"5.", b"1.123456789", b"-"])
wide_fields |= st.sampled_from(
    [b"0.5", b"0.5", b"0.5", b":.5", b"0.12:45", b"0./2", b"0.5\x80"]
)


@given(
    fields=st.lists(wide_fields, min_size=1, max_size=9),
    places=st.lists(st.integers(0, 260), min_size=9, max_size=9),
    dim=st.sampled_from([1, 2, 3, 4, 5, 8, 63, 64, 65, 66, 127, 128, 129, 260]),
    behind=st.sampled_from([b"", b"\n", b"\nthe next row"]),
)
def test_odd_fields_are_read_alike_wherever_they_stand(
    kernel_pair, fields, places, dim, behind
):
    row = [b"%d.%d" % (i % 10, i) for i in range(dim)]
    for place, field in zip(places, fields, strict=False):
        row[place % dim] = field
    text = b"the " + b" ".join(row) + behind

    native, reference = (
        scan_text(implementation, None, text, dim=dim, final=True)
        for implementation in kernel_pair
    )

    assert native == reference


def test_rows_of_many_separators_and_little_else_are_read_alike(kernel_pair):
    for numbers in (0, 1, 31, 32, 33, 63, 64):
        for separators in (1, 62, 63, 64, 65, 126, 127, 128, 129, 200):
            row = b"w" + b" 1" * numbers + b" " * separators + b"1"
            for dim in (numbers + separators, separators, 1):
                layout = {"dim": dim, "room": (1, 1)}
                native, reference = (
                    scan_text(implementation, None, row, **layout)
                    for implementation in kernel_pair
                )

                assert native == reference


@pytest.mark.parametrize("byte", [*b"\n059azAZ+-.", -1, 256])
def test_a_separator_is_no_line_end_and_no_part_of_a_number(both_kernels, byte):
    hits = np.empty((1, kernel.HIT_COLUMNS), np.int64)
    vectors = np.empty((1, 1), np.float32)
    for pair in ((byte, 32), (32, byte)):
        with pytest.raises(ValueError, match="separator"):
            both_kernels.scan_text(
                None, b"a 1", 0, 3, True, 1, *pair, hits, vectors, hits
            )


def test_scans_in_many_threads_do_not_disturb_each_other(kernel_pair):
    native, reference = kernel_pair
    slow = "1.0000000596046447753906251"  # takes the GIL back in the middle of a scan
    data = "".join(f"w{i} {i}.5 {slow} -{i}e-3\n" for i in range(2000)).encode()
    wanted = [(f"w{i}", i, 0) for i in range(0, 2000, 2)]
    layout = {"dim": 3, "room": (5000, 9)}
    expected = read_text(reference, token_index(reference, wanted), [data], **layout)
    index = token_index(native, wanted)
    results: list[Read] = []

    def work() -> None:
        results.append(read_text(native, index, [data], **layout))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [expected] * 4


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, np.frombuffer])
def test_any_bytes_like_object_can_be_scanned(both_kernels, kind):
    raw = b"the 1 2\n"
    data = kind(raw, np.uint8) if kind is np.frombuffer else kind(raw)

    scanned = scan_text(both_kernels, None, data, dim=2)

    assert scanned.result == (8, 1, 1, 0)
