"""Vectors in the bits of a dtype, against ml_dtypes, torch and plain arithmetic."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pretrained_embed import bits
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError, OptionError, WriteError

SCALED = ("int8", "int4", "binary")
LIMITS = {"int8": 127, "int4": 7}

any_bits = arrays.arrays(
    np.uint32,
    st.tuples(st.integers(1, 6), st.integers(1, 19)),
    elements=st.integers(0, 2**32 - 1),
)
finite = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 19)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(any_bits)
@settings(max_examples=300)
def test_bfloat16_is_rounded_as_ml_dtypes_and_torch_round_it(words: np.ndarray) -> None:
    vectors = words.view(np.float32)
    made = bits.to_bfloat16(vectors)
    with np.errstate(invalid="ignore"):
        theirs = vectors.astype(ml_dtypes.bfloat16)
    of_torch = torch.from_numpy(vectors.copy()).to(torch.bfloat16)
    nan = np.isnan(vectors)
    assert np.array_equal(made[~nan], theirs.view(np.uint16)[~nan])
    assert np.array_equal(made[~nan], of_torch.view(torch.uint16).numpy()[~nan])
    assert np.isnan(made.view(ml_dtypes.bfloat16)[nan].astype(np.float32)).all()


def test_bfloat16_of_special_numbers() -> None:
    words = [
        *(0x0, 0x80000000, 0x1, 0x807FFFFF, 0x7F800000, 0xFF800000),
        *(0x3F808000, 0x3F818000, 0x3F808001, 0x00008000, 0x00018000),
        *(0x7F800001, 0xFFFFFFFF),  # NaNs
    ]
    vectors = np.array([words], np.uint32).view(np.float32)
    assert bits.to_bfloat16(vectors)[0].tolist() == [
        *(0x0, 0x8000, 0x0, 0x8080, 0x7F80, 0xFF80),
        *(0x3F80, 0x3F82, 0x3F81, 0x0000, 0x0002),
        *(0x7FC0, 0xFFFF),
    ]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("number", [3.4e38, -3.4e38])
def test_what_would_become_infinite_is_refused(
    dtype: bits.Dtype, number: float
) -> None:
    vectors = np.zeros((3, 4), np.float32)
    vectors[1, 2] = number
    named = PackedTokens.pack(["the", "cat", "sat"])
    with pytest.raises(WriteError, match=f"'cat' holds .* which {dtype} cannot hold"):
        bits.encode(vectors, dtype, named)
    with pytest.raises(WriteError, match="of row 1 holds"):
        bits.encode(vectors, dtype)
    vectors[1, 2] = np.inf
    assert np.isinf(bits.encode(vectors, dtype)[:][1, 2])


@pytest.mark.parametrize("dtype", SCALED)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_no_scale_holds_what_is_not_finite(dtype: bits.Dtype, number: float) -> None:
    vectors = np.ones((2, 3), np.float32)
    vectors[1, 0] = number
    with pytest.raises(WriteError, match=f"row 1 holds .*{dtype} cannot hold"):
        bits.encode(vectors, dtype)


@pytest.mark.parametrize("dtype", LIMITS)
@given(vectors=finite)
@settings(max_examples=200)
def test_whole_numbers_are_the_nearest(dtype: bits.Dtype, vectors: np.ndarray) -> None:
    stored = bits.encode(vectors, dtype)
    assert stored.scales is not None
    limit, numbers = LIMITS[dtype], stored.numbers()
    assert np.isfinite(numbers).all()
    whole = bits._unpacked(stored.values[:], dtype, stored.dim)
    assert np.abs(whole.astype(int)).max() <= limit
    for row, scale, codes in zip(vectors, stored.scales, whole, strict=True):
        most = np.abs(row.astype(np.float64)).max()
        if most == 0:
            assert scale == 0
            assert not codes.any()
            continue
        if 2.0**-120 < most < 2.0**127:  # elsewhere float32 has no such scale
            assert scale == np.float32(most / limit)
        exact = [round(Fraction(float(x)) / Fraction(float(scale))) for x in row]
        assert codes.tolist() == [max(-limit, min(limit, q)) for q in exact]
        assert np.abs(codes).max() == limit or most < 2.0**-120
    assert np.array_equal(
        numbers, whole.astype(np.float32) * stored.scales[:, None] + np.float32(0)
    )


@given(vectors=finite)
def test_signs_and_the_mean_of_magnitudes(vectors: np.ndarray) -> None:
    stored = bits.encode(vectors, "binary")
    assert np.array_equal(stored.values[:], np.packbits(vectors > 0, axis=1))
    assert stored.scales is not None
    numbers = stored.numbers()
    zeros = ~vectors.any(axis=1)
    assert not numbers[zeros].any()
    assert not np.signbit(numbers[zeros]).any()
    assert (np.sign(numbers[~zeros]) == np.where(vectors > 0, 1, -1)[~zeros]).all()
    mean = np.abs(vectors.astype(np.float64)).mean(axis=1)
    large = mean > 1e-37
    np.testing.assert_allclose(stored.scales[large], mean[large], rtol=1e-6)


def test_how_bits_lie_in_bytes() -> None:
    vectors = np.array([[7, -7, 1], [0, 0, 0], [-1, 3.5, 7]], np.float32)
    four = bits.encode(vectors, "int4")
    # low bits first; 3.5 goes to the even 4; the last four bits are zero
    assert four.values[:].tolist() == [[0x97, 0x01], [0, 0], [0x4F, 0x07]]
    assert four.scales is not None
    assert four.scales.tolist() == [1, 0, 1]
    signs = bits.encode(np.array([[1.0, -1] * 5], np.float32), "binary")
    assert signs.values[:].tolist() == [[0b10101010, 0b10000000]]
    assert bits.width("int4", 301) == 151
    assert bits.row_bytes("binary", 300) == 38
    assert bits.row_bytes("bfloat16", 300) == 600


@pytest.mark.parametrize("dtype", bits.MATRIX)
def test_a_row_does_not_depend_on_those_beside_it(dtype: bits.Dtype) -> None:
    vectors = np.random.default_rng(0).normal(size=(2000, 300)).astype(np.float32)
    vectors[5] = 0
    whole = bits.encode(vectors, dtype)
    assert not whole[5:6].any()
    assert not whole.part(slice(5, 6)).values[:].any()
    for rows in (slice(0, 1), slice(873, 875), slice(1999, 2000), slice(4, 4)):
        alone = bits.encode(vectors[rows], dtype)
        assert alone.same_as(whole.part(rows))
    assert whole.take([1999, 5]).same_as(bits.encode(vectors[[1999, 5]], dtype))
    assert np.array_equal(whole.numbers()[[7]], whole.take([7]).numbers())


@pytest.mark.parametrize("dtype", SCALED)
@given(vectors=finite)
@settings(max_examples=50)
def test_rows_keep_their_signs_and_do_not_overflow(
    dtype: bits.Dtype, vectors: np.ndarray
) -> None:
    numbers = bits.encode(vectors, dtype).numbers()
    assert np.isfinite(numbers).all()
    if dtype != "binary":
        error = np.abs(numbers.astype(np.float64) - vectors)
        most = np.abs(vectors.astype(np.float64)).max(axis=1, keepdims=True)
        assert (error <= most / LIMITS[dtype] * 0.51 + 2.0**-149).all()


def broken(dtype: bits.Dtype, **changes: object) -> bits.Stored:
    stored = bits.encode(np.ones((3, 5), np.float32), dtype)
    parts = {"values": stored.values, "scales": stored.scales, "dim": stored.dim}
    return bits.Stored(dtype, **{**parts, **changes}, where="m.npz")  # type: ignore[arg-type]  # as a hostile file has it


@pytest.mark.parametrize("dtype", SCALED)
@pytest.mark.parametrize(
    "scales",
    [
        None,
        np.ones(2, np.float32),
        np.ones((3, 1), np.float32),
        np.ones(3, np.float64),
        np.array([1, np.nan, 1], np.float32),
        np.array([1, np.inf, 1], np.float32),
        np.array([1, -1, 1], np.float32),
    ],
)
def test_scales_that_are_none_are_refused(dtype: bits.Dtype, scales: object) -> None:
    with pytest.raises(FormatError, match=r"m\.npz: the scale"):
        broken(dtype, scales=scales)


def test_scales_that_nobody_needs_or_that_overflow_are_refused() -> None:
    with pytest.raises(FormatError, match="expected none"):
        broken("bfloat16", scales=np.ones(3, np.float32))
    with pytest.raises(FormatError, match="the scale of row 0"):
        broken("int8", scales=np.full(3, 3e38, np.float32))


@pytest.mark.parametrize("dtype", bits.MATRIX)
def test_values_of_another_form_are_refused(dtype: bits.Dtype) -> None:
    values = bits.encode(np.ones((3, 5), np.float32), dtype).values[:]
    for wrong in (values[0], values[:, :-1], values.astype(np.float64), values[:2]):
        if wrong.shape[0] == 2 and not bits.has_scales(dtype):
            continue
        with pytest.raises(FormatError, match=r"m\.npz"):
            broken(dtype, values=wrong)
    with pytest.raises(FormatError):
        broken(dtype, dim=9)


@pytest.mark.parametrize(
    ("dtype", "row"),
    [
        ("int8", [0, 0, 0, 0, -128]),
        ("int4", [0x08, 0, 0]),
        ("int4", [0x80, 0, 0]),
        ("int4", [0, 0, 0x10]),
        ("binary", [0b00000100]),
    ],
)
def test_bits_that_are_no_number_are_told_of(dtype: bits.Dtype, row: list[int]) -> None:
    kind = bits.storage(dtype)
    values = np.array([[0] * len(row), row, [0] * len(row)], np.int16).astype(kind)
    stored = broken(dtype, values=values)
    assert stored[:1].shape == (1, 5)
    for read in (lambda: stored[:], stored.numbers, stored.checked):
        with pytest.raises(FormatError, match=f"row 1 has bits that no {dtype} row"):
            read()


def test_what_metadata_say_of_vectors() -> None:
    values = np.zeros((3, 5), np.int8)
    scales = np.ones(3, np.float32)
    told = {**bits.facts("int8", 5), "more": 1}
    stored, arrays, metadata = bits.of_file(
        values, {"scales": scales, "origin": scales}, told, "m.npz"
    )
    assert isinstance(stored, bits.Stored)
    assert metadata == {"more": 1}
    assert list(arrays) == ["origin"]
    assert bits.facts("float32", 5) == bits.facts("float64", 5) == {}
    plain, arrays, _ = bits.of_file(values, {"scales": scales}, {}, "m.npz")
    assert plain is values
    assert list(arrays) == ["scales"]
    for wrong in ({"dtype": "int2", "dim": 5}, {"dtype": "int8"}, 7, None.__class__):
        with pytest.raises(FormatError, match="Upgrade"):
            bits.of_file(values, {}, {"vectors": wrong}, "m.npz")


def test_the_loss_does_not_depend_on_how_rows_are_cut() -> None:
    vectors = np.random.default_rng(1).normal(size=(3000, 50)).astype(np.float32)
    vectors[0] = 0
    stored = bits.encode(vectors, "int4")
    whole = bits.Loss.of(vectors, stored)
    cuts = [slice(0, 1), slice(1, 700), slice(700, 701), slice(701, 3000)]
    each = [bits.Loss.of(vectors[cut], stored.part(cut)) for cut in cuts]
    assert bits.Loss.sum(each) == whole
    assert bits.Loss.sum(reversed(each)) == whole
    facts = whole.facts("int4")
    assert facts["rows"] == 2999
    old, new = vectors[1:].astype(float), stored[1:].astype(float)
    lengths = np.linalg.norm(old, axis=1), np.linalg.norm(new, axis=1)
    cosines = (old * new).sum(axis=1) / (lengths[0] * lengths[1])
    errors = np.abs(lengths[1] / lengths[0] - 1)
    assert facts["cosine"]["mean"] == pytest.approx(cosines.mean(), abs=1e-9)
    assert facts["cosine"]["worst"] == pytest.approx(cosines.min(), abs=1e-9)
    assert facts["norm_error"]["mean"] == pytest.approx(errors.mean(), abs=1e-9)
    assert facts["norm_error"]["worst"] == pytest.approx(errors.max(), abs=1e-9)
    same = bits.Loss.of(vectors, bits.encode(vectors, "float32")).facts("float32")
    assert same["norm_error"] == {"mean": 0.0, "worst": 0.0}


def test_a_dtype_that_there_is_none_of() -> None:
    with pytest.raises(OptionError, match=r"'bfloat'.*bfloat16"):
        bits.check_dtype("bfloat")
    with pytest.raises(OptionError, match="it can be"):
        bits.check_dtype(np.int16)
