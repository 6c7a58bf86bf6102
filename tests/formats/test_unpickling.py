"""Pickles that would run something, or eat the machine: nothing is run."""

from __future__ import annotations

import logging
import os
import pickle
import pickletools
import random
import re
import sys
import tracemalloc
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed import budget
from pretrained_embed.budget import Budget
from pretrained_embed.errors import FormatError, PretrainedEmbedError, TruncatedError
from pretrained_embed.formats.gensim.arrays import KNOWN
from pretrained_embed.formats.pickles import unpickling
from pretrained_embed.formats.pickles.pickled import (
    Digits,
    Global,
    PickledObject,
    array_of,
    integer_of,
    list_of,
    text_of,
)

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
CANARY = "canary"
COMMAND = f"echo sung > {CANARY}"


def load(raw):
    return unpickling.load(memoryview(raw), "x.kv", Budget("x.kv", len(raw))).value


def listed(value):
    return list_of(value, "x.kv", Budget("x.kv", 0))


def text(content):
    raw = content.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


class Singing:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class SetsState:
    def __reduce__(self):
        return (Exception, (), Singing(os.system, COMMAND))


def module_of(function, protocol):
    old = protocol == 2 and function.__module__ == "builtins"
    return "__builtin__" if old else function.__module__


SYSTEM = b"cos\nsystem\n"
ARGS = text(COMMAND) + b"\x85"
PAYLOADS = {
    **{
        f"{function.__name__}-{protocol}": (
            pickle.dumps(Singing(function, argument), protocol),
            f"{module_of(function, protocol)}.{function.__name__}",
        )
        for protocol in PROTOCOLS
        for function, argument in [
            (os.system, COMMAND),
            (eval, f"__import__('os').system({COMMAND!r})"),
            (exec, f"open({CANARY!r}, 'w').close()"),
            (__import__, "antigravity"),
        ]
    },
    "global": (b"\x80\x02" + SYSTEM + ARGS + b"R.", "os.system"),
    "stack-global": (
        b"\x80\x04" + text("os") + text("system") + b"\x93" + ARGS + b"R.",
        "os.system",
    ),
    "newobj": (b"\x80\x02" + SYSTEM + ARGS + b"\x81.", "os.system"),
    "newobj-ex": (b"\x80\x04" + SYSTEM + ARGS + b"}\x92.", "os.system"),
    "state": (pickle.dumps(SetsState(), 2), "exceptions.Exception"),
    "state-of-a-known-class": (
        b"\x80\x02cgensim.models.keyedvectors\nKeyedVectors\n)\x81}"
        + text("__setstate__")
        + SYSTEM
        + b"sb.",
        "os.system",
    ),
    "attribute-of-a-known-class": (
        b"\x80\x04"
        + text("gensim.models.keyedvectors")
        + text("KeyedVectors.load")
        + b"\x93)R.",
        "gensim.models.keyedvectors.KeyedVectors.load",
    ),
    "getattr": (b"\x80\x02cbuiltins\ngetattr\n.", "builtins.getattr"),
    "python-2": (b"\x80\x02c__builtin__\napply\n.", "__builtin__.apply"),
    "object-array": (pickle.dumps(np.void, 2), "numpy.void"),
    "scipy": (b"\x80\x02cscipy.sparse\ncsr_matrix\n.", "scipy.sparse.csr_matrix"),
    "other-model": (
        b"\x80\x02cgensim.models.ldamodel\nLdaModel\n)\x81.",
        "gensim.models.ldamodel.LdaModel",
    ),
}


#: What no pickle of today's Python has.
REFUSED = {
    "inst": (b"\x80\x02(" + text(COMMAND) + b"ios\nsystem\n.", "INST of os.system"),
    "obj": (b"\x80\x02(" + SYSTEM + text(COMMAND) + b"o.", "OBJ"),
    "obj-of-a-known-class": (b"\x80\x02(cnumpy\ndtype\no.", "OBJ"),
    "ext1": (b"\x80\x02\x82\x01.", "EXT1"),
    "ext2": (b"\x80\x02\x83\x01\x00.", "EXT2"),
    "ext4": (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
    "persistent-id": (b"\x80\x02Pos.system\n.", "PERSID"),
    "binary-persistent-id": (b"\x80\x02" + text("x") + b"Q.", "BINPERSID"),
    "buffer": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "read-only-buffer": (b"\x80\x05]\x98.", "READONLY_BUFFER"),
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_is_named_is_neither_imported_nor_called(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw, what = PAYLOADS[name]

    value, names, *_ = unpickling.load(
        memoryview(raw), "x.kv", Budget("x.kv", len(raw))
    )

    assert what in names
    assert type(value) in (PickledObject, Global)
    assert list(tmp_path.iterdir()) == []
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_file_of_vectors_needs_is_refused_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw, what = REFUSED[name]

    with pytest.raises(FormatError) as caught:
        load(raw)

    assert f"it asks for {what}, which no file of word vectors needs" in str(
        caught.value
    )
    assert "It was not run" in str(caught.value)
    assert "x.kv, offset" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["system-2", "eval-4", "exec-5", "global"])
def test_the_payloads_are_live(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    pickle.loads(PAYLOADS[name][0])  # noqa: S301  (it may, in a folder of its own)

    assert (tmp_path / CANARY).exists()


def test_what_may_be_named_is_not_called():
    known = {name: name.rpartition(".")[::2] for name in KNOWN}

    for name, (module, function) in known.items():
        made = load(f"\x80\x02c{module}\n{function}\n)\x85R.".encode("latin-1"))
        if isinstance(made, PickledObject):
            assert str(made.kind) == name
            assert made.args == ((),)
        else:
            assert type(made) in (bytes, list, dict)


VALUES = [
    *(None, True, False, 0, 1, -1, 255, 65535, 1 << 31, -(1 << 63), 1 << 200),
    *(0.0, -1.5, float("inf"), "", "é", "a" * 70_000, "\udcff", "\ud800"),
    *([], [[]], list(range(3000)), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    *({}, {"a": 1, "2": [None]}, {str(n): n for n in range(3000)}, [{"b": ({},)}]),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_plain_values_are_as_python_reads_them(value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_values_that_are_made_by_a_call(protocol):
    value = [b"", b"\xff\0", b"x" * 5000, bytearray(b"ab"), {1, 2}, frozenset({3})]
    value += [defaultdict(int, a=1), OrderedDict(), OrderedDict(b=2)]

    back = load(pickle.dumps(value, protocol))

    assert [bytes(part) for part in back[:4]] == [bytes(part) for part in value[:4]]
    assert [sorted(part) for part in back[4:6]] == [[1, 2], [3]]
    assert back[6:] == [{"a": 1}, {}, {"b": 2}]


class Color(Enum):
    RED = 1


class Permission(Flag):
    READ = 1
    WRITE = 2


@dataclass
class Options:
    size: int


@dataclass(frozen=True, slots=True)
class Slotted:
    size: int


class OwnList(list):
    """A list that people have made their own."""


class OwnDict(dict):
    """A dict that people have made their own."""


class OwnSet(set):
    """A set that people have made their own."""


class WithNewKeywords:
    def __new__(cls, *, size):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"size": 3}


class Outer:
    class Inner:
        def method(self):
            return 1


Pair = namedtuple("Pair", "a b")


def own_hash(text):
    return 1


def with_attributes(value):
    """Return a value that has an attribute beside what it holds."""
    value.kept = 1
    return value


#: What people hang on their models, and what their libraries do.
ATTRIBUTES = {
    "datetime": datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    "path": Path("x"),
    "pure path": PurePosixPath("a/b"),
    "counter": Counter("aab"),
    "counter of pairs": Counter([(1, 2), (1, 2)]),
    "defaultdict": defaultdict(list, a=[1]),
    "defaultdict of a partial": defaultdict(partial(list, ()), a=[1]),
    "deque": deque([1, 2], maxlen=3),
    "namedtuple": Pair(1, [2]),
    "dataclass": Options(3),
    "slotted": Slotted(3),
    "enum": Color.RED,
    "flags": Permission.READ | Permission.WRITE,
    "regex": re.compile("a+", re.IGNORECASE),
    "partial": partial(int, base=2),
    "decimal": Decimal("1.5"),
    "fraction": Fraction(1, 3),
    "uuid": uuid.UUID(int=1 << 127),
    "function": own_hash,
    "class": Outer.Inner,
    "instance": with_attributes(Outer.Inner()),
    "method": Outer.Inner().method,
    "keywords": WithNewKeywords(size=3),
    "own list": with_attributes(OwnList([1, 2, 3])),
    "own dict": with_attributes(OwnDict({"a": 1, 2: 3, (): 4})),
    "own set": with_attributes(OwnSet({1, 2})),
    "ordered": with_attributes(OrderedDict({None: 1, 1.5: 2})),
    "keys": {None: 1, 1.5: 2, (1, 2): 3, frozenset({1}): 4, Color.RED: 5, 1 << 70: 6},
    "range": range(3),
    "slice": slice(1, 2),
    "complex": 1 + 2j,
    "ellipsis": ...,
    "not implemented": NotImplemented,
    "exception": ValueError("x"),
    "random": random.Random(1),
    "generator": np.random.default_rng(1),
    "dtype": np.dtype([("a", "i4"), ("b", "f8")]),
    "array of objects": np.array([{}, None], object),
    "array of records": np.zeros(2, [("a", "i4")]),
    "array of times": np.array(["2020-01-01"], "M8[D]"),
    "masked array": np.ma.array([1, 2], mask=[0, 1]),
    "long integer": 1 << 4000,
    "bytearray": bytearray(b"ab"),
    "series": pd.Series([1, 2], index=["a", "b"]),
    "frame": pd.DataFrame({"a": [1, 2]}),
    "lock of a logger": logging.getLogger("x"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_what_else_hangs_on_a_model_is_a_value_of_no_meaning(name, protocol):
    value = ATTRIBUTES[name]

    back = load(pickle.dumps([value, "and so on"], protocol))

    assert len(back) == 2
    assert back[1] == "and so on"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_strings_and_numbers_of_numpy_are_as_others(protocol):
    strings = [
        np.str_("ab"),
        np.str_("é\U0001f600"),
        np.str_(""),
        np.bytes_(b"\xc3\xa9"),
    ]
    numbers = [np.int64(-3), np.uint8(200), np.int16(7)]

    back = load(pickle.dumps([strings, numbers, dict.fromkeys(strings, 1)], protocol))

    assert [text_of(one) for one in back[0]] == ["ab", "é\U0001f600", "", "é"]
    assert [integer_of(one) for one in back[1]] == [-3, 200, 7]
    assert text_of(back[1][0]) is integer_of(back[0][0]) is None
    assert back[2] == dict.fromkeys(["ab", "é\U0001f600", "", "é"], 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.array(["the", "of", "\U0001f600"]),
        np.array(["the", "of"], ">U4"),
        np.array([b"the", b"of"]),
        np.array(["the", "of"], object),
        np.array([3, 1]),
        np.array([], "U1"),
        np.array(["a", "b"])[:0],
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_of_tokens_are_lists(array, protocol):
    assert listed(load(pickle.dumps(array, protocol))) == array.tolist()


def test_arrays_of_strings_are_not_longer_than_their_bytes():
    raw = pickle.dumps(np.array(["the", "of"]), 4)
    huge = raw.replace(b"K\x02\x85", b"J\xff\xff\xff\x7f\x85")
    with pytest.raises(FormatError, match="2147483647 strings has 24 bytes"):
        listed(load(huge))
    empty = huge.replace(b"\x8c\x02U3", b"\x8c\x02U0")  # each would take nothing
    assert empty != huge
    with pytest.raises(FormatError):
        listed(load(empty))
    past = raw.replace("the".encode("utf-32-le"), b"\xff" * 12)
    assert past != raw
    with pytest.raises(FormatError, match="not of strings"):
        listed(load(past))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
        np.arange(3, dtype=">i2"),
        np.empty((0, 4), np.float16),
        np.array([1, 2], np.uint8),
    ],
    ids=lambda array: f"{array.dtype.name}{array.shape}",
)
def test_arrays_are_views_of_the_pickle(array, protocol):
    back = array_of(load(pickle.dumps(array, protocol)), "x.kv")

    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    assert not back.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}, []], object),
        np.array(["a", "bc"]),
        np.array([(1, 2.0)], "i4,f8"),
        np.zeros((1, 1, 1)),
        np.array(1 + 2j),
        np.array([True]),
    ],
    ids=lambda array: array.dtype.name,
)
def test_other_arrays_are_refused(array):
    with pytest.raises(FormatError, match="not one of plain numbers"):
        array_of(load(pickle.dumps(array, 4)), "x.kv")


def test_an_array_that_is_larger_than_its_bytes_is_refused():
    raw = pickle.dumps(np.zeros((2, 3), np.float32), 4)
    huge = raw.replace(b"K\x02K\x03\x86", b"\x8a\x08" + b"\xff" * 7 + b"\x7fK\x03\x86")
    assert huge != raw

    with pytest.raises(FormatError, match="cannot exist"):
        array_of(load(huge), "x.kv")
    with pytest.raises(FormatError, match=r"shape \(2, 4\) .* has 24 bytes"):
        array_of(load(raw.replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86")), "x.kv")


DAMAGED = {
    "empty": (b"", TruncatedError, "has no end"),
    "no-end": (b"\x80\x02N", TruncatedError, "has no end"),
    "nothing": (b"\x80\x02.", FormatError, "a value is missing"),
    "protocol": (b"\x80\x09.", FormatError, "protocol 9"),
    "no-opcode": (b"\x80\x02\xff.", FormatError, "byte 0xff is no opcode"),
    "no-mark": (b"\x80\x02Nt.", FormatError, "a mark is missing"),
    "mark-as-value": (b"\x80\x02(\x85.", FormatError, "a value is missing"),
    "no-memo": (b"\x80\x02h\x05.", FormatError, "value 5 is used before"),
    "append-to-none": (b"\x80\x02NNa.", FormatError, "of another kind"),
    "odd-items": (b"\x80\x02}(Nu.", FormatError, "a key has no value"),
    "build-of-none": (b"\x80\x02N}b.", FormatError, "of another kind"),
    "reduce-of-text": (
        b"\x80\x02" + text("os") + b")R.",
        FormatError,
        "without a name",
    ),
    "not-utf-8": (b"\x80\x04\x8c\x01\xff.", FormatError, "not UTF-8"),
    "name-without-end": (b"\x80\x02c" + b"a" * 600, FormatError, "no line of at most"),
    "name-of-numbers": (b"\x80\x04K\x01K\x02\x93.", FormatError, "name is no string"),
    "digits": (b"\x80\x02I" + b"9" * 100 + b"\n.", FormatError, "no integer"),
    "huge-integer": (
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        TruncatedError,
        "should follow",
    ),
    "keywords": (
        b"\x80\x04cnumpy\ndtype\n)N\x92.",
        FormatError,
        "keyword arguments",
    ),
    "call-of-text": (
        b"\x80\x02" + text("a") + b")\x81.",
        FormatError,
        "without a name",
    ),
    "bytes8": (b"\x80\x04\x8e" + b"\0" * 7 + b"\x10.", TruncatedError, "should follow"),
    "text8": (b"\x80\x04\x8d" + b"\xff" * 8 + b".", TruncatedError, "should follow"),
    "frame": (b"\x80\x04\x95" + b"\0" * 7 + b"\x10N.", TruncatedError, "should follow"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named(name):
    raw, error, what = DAMAGED[name]

    with pytest.raises(error, match=what):
        load(raw)


def peak(raw):
    """Return the most memory that reading took, and what became of it."""
    tracemalloc.start()
    try:
        load(raw)
    except FormatError as error:
        return tracemalloc.get_traced_memory()[1], str(error)
    finally:
        tracemalloc.stop()
    return None, ""


def test_sizes_are_not_believed():
    for name in ("bytes8", "text8", "frame", "huge-integer"):
        most, _ = peak(DAMAGED[name][0])
        assert most < 1 << 20


def test_a_long_string_may_not_be_made_again_and_again():
    once = b"h\x00h\x01R0"  # one call, whose value is thrown away
    head = b"\x80\x02c_codecs\nencode\nq\x000"
    head += text("é" * 100_000) + text("latin1") + b"\x86q\x010"
    kept = head + b"(" + b"h\x00h\x01R" * 10_000 + b"t."  # a gigabyte, if it were let

    assert load(head + once + b"N.") is None
    most, error = peak(kept)
    assert "reading it takes more memory" in error
    assert most < Budget("x.kv", len(kept)).total + (1 << 20)


def test_keys_that_are_integers_are_digits_that_hash_apart():
    back = load(pickle.dumps({5: "a", -(1 << 70): "b"}))
    assert back == {"5": "a", str(-(1 << 70)): "b"}
    assert all(type(key) is Digits for key in back)

    # as keys of a dict of Python's these take minutes: all have one hash
    same = [1 + (2**61 - 1) * n for n in range(30_000)]
    pairs = b"".join(b"\x8a\x0a" + n.to_bytes(10, "little") + b"N" for n in same)
    assert len(load(b"\x80\x02}(" + pairs + b"u.")) == len(same)


def test_values_in_the_memo_may_be_counted_from_one():
    assert load(b"\x80\x02]q\x01(K\x07q\x02h\x02h\x01e.")[:2] == [7, 7]
    with pytest.raises(FormatError, match="value 0 is used before"):
        load(b"\x80\x02]q\x01h\x00.")
    with pytest.raises(FormatError, match="comes before the others"):
        load(b"\x80\x02]r\xff\xff\xff\xff.")


@pytest.mark.parametrize("one", [b"]", b"}", b"N\x85", b"c1\n1\n", b"}h\x00h\x00s"])
def test_what_is_nearly_nothing_in_the_file_is_counted(one, monkeypatch):
    monkeypatch.setattr(budget, "FIXED", 1 << 20)
    raw = b"\x80\x02" + text("a") + b"q\x00(" + one * 60_000 + b"t."

    most, _ = peak(raw)

    assert most is None or most < Budget("x.kv", len(raw)).total + 64 * len(raw)


def test_deep_nesting_is_refused_or_read():
    open_lists = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    with pytest.raises(FormatError, match="values wait"):
        load(open_lists)

    for run in (b"h\x00", b"\x8c\x01a\x94"):  # which are taken many at a time
        with pytest.raises(FormatError, match="values wait"):
            load(b"\x80\x04K\x01q\x00(" + run * 100_000 + b"t" + b"N0" * 9 + b".")

    tuples = b"\x80\x02)" + b"\x85" * 1_000_000 + b"."
    assert type(load(tuples)) is tuple  # and goes again without a crash
    records = b"\x80\x02cnumpy\ndtype\nq\x000N" + b"q\x010h\x00h\x01\x85\x81" * 50_000
    assert type(load(records + b".")) is PickledObject
    assert load(b"\x80\x02})" + b"\x85" * 100_000 + b"Ns.") == {}
    deep = b"\x80\x04cnumpy._core.multiarray\nscalar\nq\x010cnumpy\ndtype\nq\x000K\x01"
    for _ in range(20_000):  # a string of a dtype whose code is such a string
        deep += b"q\x020h\x00h\x02\x85RN" + text("<") + b"\x86bq\x020"
        deep += b"h\x01h\x02C\x04aaaa\x86R"
    assert text_of(load(deep + b".")) is None


def test_values_may_hold_themselves():
    own = load(b"\x80\x02]q\x00h\x00a.")
    assert own[0] is own

    doubled = load(
        b"\x80\x02]" + b"q\x000]h\x00ah\x00a" * 200 + b"."
    )  # 2 ** 200 leaves
    assert len(doubled) == 2


OPCODES = [info.code.encode("latin-1") for info in pickletools.opcodes]
NAMES = [b"c%s\n%s\n" % tuple(n.encode().rsplit(b".", 1)) for n in sorted(KNOWN)]
PIECES = st.one_of(
    st.sampled_from(OPCODES),
    st.sampled_from(NAMES),
    st.sampled_from([text("latin1"), b"h\x00", b"q\x00", b"K\x01", b"(", b")", b"N"]),
    st.binary(max_size=4),
)


@given(st.lists(PIECES, max_size=60))
def test_any_bytes_are_values_or_our_error(pieces):
    try:
        load(b"\x80\x04" + b"".join(pieces) + b".")
    except PretrainedEmbedError:
        return
