from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.formats.text.decimals import rows_of_decimals


def texts(numbers: np.ndarray) -> list[bytes]:
    """Each number in a row of its own."""
    return rows_of_decimals(numbers.astype(np.float32)[:, None], b" ")


def as_numpy_writes(numbers: np.ndarray) -> list[bytes]:
    """Whole numbers have no point here."""
    return [str(number).removesuffix(".0").encode() for number in numbers]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_any_bits_are_written_as_numpy_writes_them(bits):
    numbers = np.array(bits, np.uint32).view(np.float32)

    assert texts(numbers) == as_numpy_writes(numbers)


@given(st.lists(st.floats(-20, 20, width=32), min_size=1))
def test_numbers_of_an_embedding_are_written_as_numpy_writes_them(numbers):
    numbers = np.array(numbers, np.float32)

    assert texts(numbers) == as_numpy_writes(numbers)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1), st.integers(0, 9))
def test_a_decimal_of_few_digits_comes_back_as_it_was(digits, places):
    numbers = np.array([float(f"{d}e-{places}") for d in digits], np.float32)

    assert texts(numbers) == as_numpy_writes(numbers)


def test_every_number_reads_back_to_the_bit():
    bits = np.random.default_rng(0).integers(0, 2**32, 50_000, np.uint32)
    numbers = bits.view(np.float32)

    back = np.array([float(text) for text in texts(numbers)]).astype(np.float32)

    finite = ~np.isnan(numbers)
    assert (back.view(np.uint32) == bits)[finite].all()
    assert np.isnan(back[~finite]).all()


@pytest.mark.parametrize("base", [2, 10])
@pytest.mark.parametrize("power", range(-16, 17))
def test_powers_and_their_neighbours_are_written_as_numpy_writes_them(base, power):
    """The neighbours of a power of two are not equally far, so digits might differ."""
    near = np.array([float(base) ** power], np.float32)
    numbers = np.concatenate(
        [near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(1e30))]
    )

    assert texts(numbers) == as_numpy_writes(numbers)


def test_rows_keep_their_numbers_and_the_separator_stands_between_them():
    vectors = np.array([[1, -0.5, 0.1], [-0.0, 1e-9, 12345.678]], np.float32)

    assert rows_of_decimals(vectors, b"\t") == [
        b"1\t-0.5\t0.1",
        b"-0\t1e-09\t12345.678",
    ]
    assert rows_of_decimals(np.asfortranarray(vectors), b"\t") == rows_of_decimals(
        vectors, b"\t"
    )


def test_a_file_of_glove_comes_out_byte_for_byte():
    """Rows of glove.6B.50d.txt, as Stanford's program wrote them."""
    row = b"-0.99 -1 0.418 0.24968 5.6e-05 -9.3e-05 2.0401 0.00015164 -0.0026 0.6"
    numbers = np.array([[float(n) for n in row.split()]], np.float32)

    assert rows_of_decimals(numbers, b" ") == [row]
