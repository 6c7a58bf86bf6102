"""Whatever the native kernel is given: no crash, and nothing that it keeps."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from conftest import KERNEL_NAMES
from fuzz_kernel import ENTRIES
from kernels import Packed, token_index

from pretrained_embed import kernel
from pretrained_embed.kernel import _reference

REFUSALS = (TypeError, ValueError, OverflowError)

DATA = b"the 1 2\nof 3 4\n"
BINARY = b"the " + bytes(8)


@pytest.fixture
def native(kernel_pair) -> ModuleType:
    return kernel_pair[0]


def index_of(native: ModuleType) -> kernel.TokenIndex:
    return token_index(native, [("the", 3, 0), ("of", 1, 1)])


def text_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "index": index_of(native),
        "data": bytearray(DATA),
        "start": 0,
        "stop": len(DATA),
        "final": True,
        "dim": 2,
        "separator": 32,
        "delimiter": 32,
        "hits": np.empty((4, 4), np.int64),
        "vectors": np.empty((4, 2), np.float32),
        "faults": np.empty((4, 4), np.int64),
    }


def binary_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "index": index_of(native),
        "data": bytearray(BINARY),
        "start": 0,
        "stop": len(BINARY),
        "dim": 2,
        "known": -1,
        "low": 0,
        "high": 255,
        "hits": np.empty((4, 4), np.int64),
        "vectors": np.empty((4, 2), np.float32),
    }


def place_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "index": index_of(native),
        "hits": np.array([[0, 0, 3, 0], [1, 8, 2, 1]], np.int64),
        "count": 2,
        "vectors": np.zeros((2, 2), np.float32),
        "base": 0,
        "best": np.full(4, kernel.UNCLAIMED, np.int64),
        "seen": np.zeros(2, np.uint8),
        "out": np.zeros((4, 2), np.float32),
    }


def spread_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "index": index_of(native),
        "hits": np.array([[0, 0, 3, 0], [1, 8, 2, 1]], np.int64),
        "count": 2,
        "pairs": np.zeros((2, 2), np.int64),
    }


def find_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "index": index_of(native),
        "data": bytearray(b"theof"),
        "offsets": np.array([0, 3, 5], np.int64),
        "base": 0,
        "best": np.full(4, kernel.UNCLAIMED, np.int64),
        "seen": np.zeros(2, np.uint8),
    }


def index_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "tokens": ["the", b"of"],
        "rows": np.array([3, 1], np.int64),
        "ranks": np.zeros(2, np.uint8),
    }


def hash_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "data": bytearray(b"theof"),
        "offsets": np.array([0, 3, 5], np.int64),
        "out_hashes": np.zeros(2, np.uint64),
    }


def look_up_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "index": index_of(native),
        "starts": np.array([0, 1, 2], np.int64),
        "hashes": np.zeros(2, np.uint64),
        "rows": np.arange(2, dtype=np.int64),
        "data": bytearray(b"theof"),
        "offsets": np.array([0, 3, 5], np.int64),
        "best": np.full(4, kernel.UNCLAIMED, np.int64),
        "seen": np.zeros(2, np.uint8),
    }


def gather_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "vectors": np.zeros((4, 2), np.float32),
        "rows": np.array([3, 0], np.int64),
        "targets": np.array([0, 1], np.int64),
        "out": np.zeros((4, 2), np.float32),
        "weights": np.ones(2, np.uint32),
        "sums": np.zeros(2, np.uint32),
    }


def average_arguments(native: ModuleType) -> dict[str, object]:
    return {
        "vectors": np.zeros((4, 2), np.float32),
        "rows": np.array([3, 0], np.int64),
        "offsets": np.array([0, 1, 2], np.int64),
        "out": np.zeros((2, 2), np.float32),
    }


ARGUMENTS = {
    "scan_text": text_arguments,
    "scan_binary": binary_arguments,
    "place": place_arguments,
    "spread": spread_arguments,
    "find_rows": find_arguments,
    "hash_tokens": hash_arguments,
    "look_up": look_up_arguments,
    "gather": gather_arguments,
    "average": average_arguments,
    "TokenIndex": index_arguments,
}


def unaligned(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.zeros(size + 1, np.uint8)[1:].view(dtype).reshape(shape)


ARRAYS = {  # wrong for each array, by what it holds
    np.int64: [
        np.zeros((4, 4), np.int32),
        np.zeros((4, 4), np.float64),
        np.zeros((4, 4), np.dtype("i8").newbyteorder()),
        np.zeros((4, 4), np.uint64),
        np.zeros((4, 8), np.int64)[:, ::2],
        np.asfortranarray(np.zeros((4, 4), np.int64)),
        np.zeros((4, 3), np.int64),
        np.zeros(16, np.int64)[1:].reshape(3, 5),
        np.zeros((4, 2, 2), np.int64),
        np.zeros((), np.int64),
        unaligned((4, 4), np.int64),
        unaligned((16,), np.int64),
        [[0, 0, 0, 0]],
        bytearray(32),
        None,
    ],
    np.float32: [
        np.zeros((4, 2), np.float64),
        np.zeros((4, 2), np.float16),
        np.zeros((4, 2), np.dtype("f4").newbyteorder()),
        np.zeros((4, 3), np.float32),
        np.zeros((4, 4), np.float32)[:, ::2],
        np.zeros(8, np.float32),
        unaligned((4, 2), np.float32),
        None,
    ],
    np.uint32: [
        np.zeros(2, np.int32),
        np.zeros(2, np.float32),
        np.zeros(2, np.uint64),
        np.zeros(2, np.dtype("u4").newbyteorder()),
        np.zeros(3, np.uint32),
        np.zeros((2, 1), np.uint32),
        np.zeros(4, np.uint32)[::2],
        unaligned((2,), np.uint32),
        5,
    ],
    np.uint64: [
        np.zeros(2, np.int64),
        np.zeros(2, np.uint32),
        np.zeros(2, np.dtype("u8").newbyteorder()),
        np.zeros(3, np.uint64),
        np.zeros((2, 1), np.uint64),
        np.zeros(4, np.uint64)[::2],
        unaligned((2,), np.uint64),
        None,
    ],
    np.uint8: [
        np.zeros(2, np.int8),
        np.zeros(2, np.bool_),
        np.zeros(3, np.uint8),
        np.zeros((2, 1), np.uint8),
        np.zeros(4, np.uint8)[::2],
        np.zeros((), np.uint8),
        "ab",
        None,
    ],
}
HOLDS = {
    "hits": np.int64,
    "faults": np.int64,
    "best": np.int64,
    "rows": np.int64,
    "offsets": np.int64,
    "starts": np.int64,
    "targets": np.int64,
    "pairs": np.int64,
    "vectors": np.float32,
    "out": np.float32,
    "hashes": np.uint64,
    "out_hashes": np.uint64,
    "weights": np.uint32,
    "sums": np.uint32,
    "seen": np.uint8,
    "ranks": np.uint8,
}
WRONG = {
    "index": [
        None,
        0,
        "the",
        _reference.TokenIndex([], np.empty(0, np.int64), np.empty(0, np.uint8)),
    ],
    "data": ["the 1 2", 7, None, [1], np.zeros((4, 4), np.uint8)[:, ::2]],
    "start": [-1, 16, 2**40, 2**62, 2**70, -(2**70), 0.5, None, "0"],
    "stop": [-1, 16, 2**40, 2**63 - 1, 2**70, 1.5, None],
    "dim": [0, -1, 1, 3, 2**31, 2**32 + 2, 2**62, 2**70, 2.0, None],
    "separator": [-1, 10, 256, 2**40, b" ", None],
    "delimiter": [-1, 10, 256, 2**32 + 32, "\t", None],
    "count": [-1, 3, 2**40, 2**70, None],
    "base": [-1, 2**56, 2**56 - 1, 2**63 - 1, -(2**63), 2**64, None],
    "tokens": [
        ["the"],
        [1, 2],
        ["the", None],
        5,
        None,
        ["the", "\ud800"],
        "a",
        Packed.of(["the"]),
        Packed("theof", np.array([0, 3, 5])),
        Packed(b"theof", np.array([0, 3, 6])),
        Packed(b"theof", np.array([0, 3, 5], np.int32)),
        Packed(b"theof", [0, 3, 5]),
    ],
}


MORE = {  # of the right type, but of the wrong length
    ("place", "best"): [np.zeros(3, np.int64), np.zeros(0, np.int64)],
    ("find_rows", "best"): [np.zeros(3, np.int64), np.zeros(0, np.int64)],
    ("look_up", "best"): [np.zeros(3, np.int64), np.zeros(0, np.int64)],
    ("look_up", "rows"): [np.zeros(1, np.int64)],
    ("look_up", "starts"): [np.zeros(2, np.int64), np.zeros(4, np.int64)],
    ("gather", "rows"): [
        np.zeros(3, np.int64),
        np.full(2, -1, np.int64),
        np.full(2, 4, np.int64),
    ],
    ("gather", "targets"): [
        np.zeros(3, np.int64),
        np.full(2, -1, np.int64),
        np.full(2, 2**62, np.int64),
    ],
    ("average", "rows"): [np.zeros(1, np.int64), np.full(2, -1), np.full(2, 4)],
    ("average", "offsets"): [
        np.zeros(2, np.int64),
        np.array([0, 2, 1]),
        np.array([-1, 0, 1]),
    ],
    ("average", "vectors"): [np.zeros((0, 2), np.float32)],
    ("average", "out"): [np.zeros((3, 2), np.float32)],
    ("place", "hits"): [np.zeros((1, 4), np.int64)],
    ("place", "out"): [np.zeros((5, 2), np.float32)],
    ("scan_text", "vectors"): [np.zeros((1, 2), np.float32)],
    ("scan_binary", "vectors"): [np.zeros((1, 2), np.float32)],
    ("place", "vectors"): [np.zeros((1, 2), np.float32)],
    ("gather", "vectors"): [np.zeros((1, 2), np.float32)],
    ("gather", "out"): [np.zeros((1, 2), np.float32)],
    ("TokenIndex", "rows"): [np.zeros(1, np.int64), np.zeros(3, np.int64)],
}


def refusals() -> list[object]:
    cases = []
    for function, arguments in ARGUMENTS.items():
        for name in arguments(_reference):
            wrong = ARRAYS[HOLDS[name]] if name in HOLDS else WRONG.get(name, [])
            if name == "index" and function.startswith("scan"):
                wrong = wrong[1:]  # None means all rows
            cases += [
                pytest.param(function, name, value, id=f"{function}-{name}-{i}")
                for i, value in enumerate(wrong + MORE.get((function, name), []))
            ]
    return cases


def references(arguments: dict[str, object]) -> dict[str, int]:
    """Count the references to what is ours alone: small numbers are everyone's."""
    kinds = (np.ndarray, bytearray, list, kernel.TokenIndex)
    return {
        name: sys.getrefcount(value)
        for name, value in arguments.items()
        if isinstance(value, kinds)
    }


@pytest.mark.parametrize(("function", "name", "value"), refusals())
def test_a_wrong_argument_is_refused_and_nothing_is_kept(native, function, name, value):
    call = getattr(native, function)
    arguments = ARGUMENTS[function](native)
    right = arguments[name]
    before = references(arguments)

    arguments[name] = value
    wrong = references(arguments)

    for _ in range(3):
        with pytest.raises(REFUSALS):
            call(*arguments.values())

    assert references(arguments) == wrong
    arguments[name] = right
    assert references(arguments) == before
    call(*arguments.values())


@pytest.mark.parametrize("function", ARGUMENTS)
def test_a_call_keeps_no_reference_to_its_arguments(native, function):
    call = getattr(native, function)
    arguments = ARGUMENTS[function](native)
    before = references(arguments)

    for _ in range(100):
        call(*arguments.values())

    assert references(arguments) == before


@pytest.mark.parametrize("function", ARGUMENTS)
def test_too_few_and_too_many_arguments_are_refused(native, function):
    values = [*ARGUMENTS[function](native).values()]
    for arguments in (values[:-1], [*values, None], []):
        with pytest.raises(TypeError):
            getattr(native, function)(*arguments)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("scan_text", "hits"),
        ("scan_text", "vectors"),
        ("scan_text", "faults"),
        ("scan_binary", "hits"),
        ("scan_binary", "vectors"),
        ("place", "best"),
        ("place", "seen"),
        ("place", "out"),
        ("spread", "pairs"),
        ("find_rows", "best"),
        ("find_rows", "seen"),
        ("hash_tokens", "out_hashes"),
        ("look_up", "best"),
        ("look_up", "seen"),
        ("gather", "out"),
    ],
)
def test_what_is_written_to_has_to_be_writable(native, function, name):
    arguments = ARGUMENTS[function](native)
    arguments[name].flags.writeable = False

    with pytest.raises(ValueError, match="read-only"):
        getattr(native, function)(*arguments.values())


@pytest.mark.parametrize("field", ["1", 1, None, [49], np.zeros((2, 2))[:, 1]])
def test_a_field_is_bytes(native, field):
    with pytest.raises((TypeError, ValueError)):
        native.number(field)


def test_keys_are_looked_up_by_bytes_and_wanted_by_keys(native):
    index = index_of(native)
    for token in ("the", None, bytearray(b"the")):
        with pytest.raises(TypeError):
            index.key(token)
    for key in (-1, 2, 2**40):
        with pytest.raises((IndexError, OverflowError)):
            index.wanted(key)
    with pytest.raises(TypeError):
        index.wanted("0")


def test_every_entry_point_is_fuzzed():
    fuzzed = {name for names in ENTRIES for name in names.split(", ")}

    assert fuzzed - {"open_reader"} == set(KERNEL_NAMES) - {"IMPLEMENTATION"}
