"""A number means ``np.float32(float(text))``, to the bit, in both kernels."""

from __future__ import annotations

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kernels import bits, read_text, scan_text

from pretrained_embed import kernel

LARGEST = 0x7F7FFFFF  # the bits of the largest binary32 number


def expected(text: str) -> list[int]:
    with np.errstate(over="ignore"):
        return bits([float(text)])


def assert_read(implementation, text: str) -> None:
    value = implementation.number(text.encode())
    assert type(value) is float, text
    assert bits([value]) == expected(text), text
    if value == value:  # NaN apart, the value is a binary32 number and no nearer one
        assert float(np.float32(value)) == value


def digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most) | st.text(
        "09", min_size=least, max_size=most
    )


signs = st.sampled_from(["", "-", "+"])
zeros = st.sampled_from(["", "0", "000", "0" * 30])
mantissas = st.one_of(
    digits(1, 40),
    st.builds("{}{}.{}".format, zeros, digits(1, 20), digits(0, 40)),
    st.builds(".{}{}".format, zeros, digits(1, 40)),
    st.builds("0.{}{}".format, zeros, digits(1, 12)),  # what vectors are made of
)
exponents = st.one_of(
    st.just(""),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from("eE"),
        signs,
        zeros,
        st.integers(0, 60) | st.integers(0, 400) | st.integers(0, 10**12),
    ),
)
decimals = st.builds("{}{}{}".format, signs, mantissas, exponents)
words = st.builds(
    lambda sign, word, mask: (
        sign + "".join(c.upper() if m else c for c, m in zip(word, mask, strict=False))
    ),
    signs,
    st.sampled_from(["inf", "infinity", "nan"]),
    st.lists(st.booleans(), min_size=8, max_size=8),
)


@st.composite
def near_halfway(draw) -> str:
    """The middle between two adjacent binary32 numbers, or a hair beside it.

    The hair is a digit far behind: what a reader that keeps 19 digits, or goes
    through binary64 where it should not, or should and does not, gets wrong.
    """
    low = draw(st.integers(0, LARGEST))
    below, above = np.array([low, low + 1], np.uint32).view(np.float32).tolist()
    with localcontext() as context:
        context.prec = 400
        if above == float("inf"):
            above = 2.0**128
        middle = (Decimal(below) + Decimal(above)) / 2
        cut = draw(st.sampled_from([0, 9, 17, 18, 19, 20, 21, 30]))
        if cut:  # as many digits as fit, so near but beside it
            context.prec = cut
            middle = +middle
        text = draw(st.sampled_from([f"{middle:f}", f"{middle:e}"]))
    mantissa, e, exponent = text.partition("e")
    if "." in mantissa:
        mantissa += draw(st.sampled_from(["", "0" * 10 + "1", "0" * 200 + "1"]))
        if draw(st.booleans()):
            mantissa = _one_less(mantissa) + "9" * draw(st.sampled_from([1, 25]))
    return draw(signs) + mantissa + e + exponent


def _one_less(mantissa: str) -> str:
    """Lower the last digit by one, borrowing as on paper."""
    head = mantissa.rstrip("0.")
    if not head:
        return mantissa
    lowered = head[:-1] + str(int(head[-1]) - 1)
    return lowered + "".join("9" if c == "0" else c for c in mantissa[len(head) :])


numbers = st.one_of(decimals, near_halfway(), words)


@given(text=numbers)
@example("1.000000059604644775390625")  # halfway, to even: down
@example("1.0000000596046447753906250000000001")  # above it, but not in binary64
@example("1.000000178813934326171875")  # halfway, to even: up
@example("1.1754943508222875e-38")  # the smallest normal binary32 number
@example("7.006492321624085e-46")  # half the smallest subnormal: to even, zero
@example("7.0064923216240862e-46")
@example("3.4028235677973366e38")  # halfway between the largest number and infinity
@example("3.4028235677973365e38")
@example("4.9e-324")
@example("2.2250738585072011e-308")
@example("1.7976931348623159e308")
@example("9007199254740993")  # 2**53 + 1
@example("123456789012345678901234567890e-20")
@example("1e1000000000000000000000")
@example("-1e-1000000000000000000000")
@example("0e999999999999")
@example("-0.0")
@example("0" * 5000 + "1." + "0" * 5000 + "1e-3")
@example("4727127818099371e10")  # the x87 unit rounds these three twice, and wrong
@example("7048185926415498e18")
@example("2302717462043802e-21")
@example("-nan")
def test_a_number_is_what_float_reads_rounded_to_binary32(kernel_pair, text):
    for implementation in kernel_pair:
        assert_read(implementation, text)


def test_numbers_are_rounded_by_way_of_binary64(both_kernels):
    above_halfway = "1.00000005960464477539062501"  # nearest binary32: 1 + 2**-23

    value = both_kernels.number(above_halfway.encode())

    assert value == 1.0


def test_every_short_text_is_a_number_or_is_not_one_in_both_kernels(kernel_pair):
    native, reference = kernel_pair
    for length in range(6):
        for characters in itertools.product(b"07.eE+-", repeat=length):
            field = bytes(characters)
            value = reference.number(field)
            assert native.number(field) == value, field
            assert (value is None) == (not _float_reads(field)), field


def _float_reads(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


NOT_NUMBERS = {
    "nothing": "",
    "a sign": "-",
    "two signs": "+-1",
    "a sign behind": "1-",
    "a point": ".",
    "two points": "1.2.3",
    "an exponent alone": "e5",
    "a point and an exponent": ".e5",
    "an empty exponent": "1e",
    "an exponent that is a sign": "1e+",
    "an exponent with a point": "1e1.5",
    "two exponents": "1e1e1",
    "a decimal comma": "0,5",
    "a hexadecimal number": "0x10",
    "a hexadecimal fraction": "0x1.8p3",
    "part of a word": "infin",
    "more than a word": "infinityy",
    "a word and more": "nan0",
    "NaN with a payload": "nan(123)",
    "1.#INF": "1.#INF",
    "a NUL behind": "1\0",
    "a file separator behind": "1\x1c",
    "a suffix": "1f",
    "a ratio": "1/2",
    "a complex number": "1j",
    "a byte that is no UTF-8": "1\udcff",
    "a sign of another script": "\u22121",
}
#: Python reads these; a file of vectors does not hold them.
ONLY_PYTHON_READS = {
    "underscores": "1_000",
    "an underscore in an exponent": "1e1_0",
    "Arabic digits": "\u0661\u0662",
    "Devanagari digits": "\u0967.\u0968",
    "fullwidth digits": "\uff11\uff12",
    "mathematical digits": "\U0001d7ce",
    "a space before": " 1",
    "a space behind": "1 ",
    "a tab": "\t1",
    "a line feed": "1\n",
    "a carriage return": "1\r",
    "a vertical tab": "\v1",
    "a form feed": "1\f",
    "a next line": "\u00851",
    "a no-break space": "\u00a01",
    "an em space": "1\u2003",
    "a line separator": "1\u2028",
    "an ideographic space": "\u30001",
}


@pytest.mark.parametrize("text", NOT_NUMBERS.values(), ids=NOT_NUMBERS.keys())
def test_what_float_refuses_is_no_number(both_kernels, text):
    with pytest.raises(ValueError, match="could not convert"):
        float(text)

    assert both_kernels.number(text.encode("utf-8", "surrogateescape")) is None


@pytest.mark.parametrize(
    "text", ONLY_PYTHON_READS.values(), ids=ONLY_PYTHON_READS.keys()
)
def test_what_only_python_calls_a_number_is_none(both_kernels, text):
    float(text)

    assert both_kernels.number(text.encode()) is None


@given(
    field=st.binary(max_size=12)
    | st.lists(st.sampled_from(b"0123456789.eE+-_infatyNx \t"), max_size=12).map(bytes)
)
def test_garbage_is_refused_and_what_is_not_is_what_float_reads(kernel_pair, field):
    values = [implementation.number(field) for implementation in kernel_pair]

    assert len({None if value is None else bits([value])[0] for value in values}) == 1
    if values[0] is not None:
        assert bits(values[:1]) == expected(field.decode())


separators = st.sampled_from([b" ", b"\t"])
#: Behind a long one, numbers may be read in large pieces that begin before them.
TOKENS = ["word", "x" * 70]
endings = st.sampled_from([b"", b"\n", b"\r\n", b" \n", b"\t \r\n", b"\nnext 1 2 3\n"])


@given(
    token=st.sampled_from(TOKENS),
    fields=st.lists(numbers | st.sampled_from(["0", "5", "0.25", "-0.071549"]))
    .filter(bool)
    .map(lambda fields: fields[:6]),
    separator=separators,
    ending=endings,
)
def test_a_number_reads_the_same_wherever_it_stands_in_a_row(
    kernel_pair, token, fields, separator, ending
):
    row = separator.join([token.encode(), *(field.encode() for field in fields)])
    if separator == b" ":
        ending = ending.replace(b"\t", b"")
    values = [expected(field)[0] for field in fields]

    for implementation in kernel_pair:
        scanned = scan_text(
            implementation, None, row + ending, dim=len(fields), separator=separator
        )

        assert scanned.vectors[0] == values
        assert scanned.hits[0] == [0, 0, len(token), -1]


@given(number=numbers, place=st.integers(0, 2), separator=separators)
def test_a_buffer_may_be_cut_at_every_byte_of_a_number(
    kernel_pair, number, place, separator
):
    fields = ["0.5", "-1"]
    fields.insert(place, number)
    row = separator.join([b"word", *(field.encode() for field in fields)]) + b"\r\n"
    values = tuple(expected(field)[0] for field in fields)

    for implementation in kernel_pair:
        for cut in range(0, len(row) + 1, max(1, len(row) // 60)):
            read = read_text(
                implementation,
                None,
                [row[:cut], row[cut:]],
                dim=3,
                separator=separator,
            )

            assert [hit.vector for hit in read.hits] == [values]


@pytest.mark.parametrize("token", TOKENS)
def test_all_short_decimals_read_right(kernel_pair, token):
    fields = [
        f"{sign}{i / 10**places:.{places}f}"
        for sign in ("", "-")
        for places in range(10)
        for i in range(0, 10 * 10**places, max(1, 10**places // 307))
    ]
    row = " ".join([token, *fields]).encode() + b"\n"

    for implementation in kernel_pair:
        scanned = scan_text(implementation, None, row, dim=len(fields))

        assert scanned.vectors[0] == bits([float(field) for field in fields])


@pytest.mark.parametrize("sign", ["", "-"])
def test_the_last_number_of_a_buffer_may_end_with_it(kernel_pair, sign):
    for places in range(12):
        number = f"{sign}1.{'2345678901234'[:places]}"
        for implementation in kernel_pair:
            for start in ("word ", "word 0.5 "):
                row = (start + number).encode()

                scanned = scan_text(implementation, None, row, dim=start.count(" "))

                assert scanned.vectors[0][-1:] == expected(number)


def test_whole_numbers_times_powers_of_ten_next_to_halfway_read_right(kernel_pair):
    # Of each number of digits and power the ones nearest to the middle between two
    # binary32 numbers: an error in the last place of binary64 shows in nearly half.
    random = Random(0)
    fields = []
    for digits in range(1, 22):
        for power in range(-70, 70):
            for _ in range(6):
                leading = random.randrange(10 ** (digits - 1), 10**digits)
                with np.errstate(over="ignore"):
                    low = np.float32(float(f"{leading}e{power}"))
                if not 0 < low < 3e38:
                    fields.append(f"{leading}e{power}")
                    continue
                middle = (Fraction(float(low)) + Fraction(float(_next(low)))) / 2
                nearest = round(middle / Fraction(10) ** power)
                fields += [f"{nearest + i}e{power}" for i in (-200, -1, 0, 1, 200)]
    row = " ".join([TOKENS[1], *fields]).encode() + b"\n"

    for implementation in kernel_pair:
        scanned = scan_text(implementation, None, row, dim=len(fields))

        with np.errstate(over="ignore"):
            assert scanned.vectors[0] == bits([float(field) for field in fields])


def _next(value: np.float32) -> np.float32:
    return np.nextafter(value, np.float32(np.inf))


@pytest.mark.parametrize("position", range(1, 6))
@pytest.mark.parametrize("text", ["1_0", "0x1", "1.2.3", "\u00a01", "--1", "1e", "."])
@pytest.mark.parametrize("token", TOKENS)
def test_a_field_that_is_no_number_is_a_fault_of_its_row(
    both_kernels, token, text, position
):
    fields = ["0.5"] * 5
    fields[position - 1] = text
    row = " ".join([token, *fields]).encode() + b"\n"

    scanned = scan_text(both_kernels, None, row, dim=5)

    assert scanned.hits == []
    assert scanned.faults == [[0, kernel.BAD_NUMBER, position, 0]]
