"""Pickles that would run something, or eat the machine: refused, nothing run."""

from __future__ import annotations

import os
import pickle
import pickletools
import tracemalloc
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.errors import FormatError, PretrainedEmbedError, TruncatedError
from pretrained_embed.formats.gensim.names import KNOWN
from pretrained_embed.formats.pickles import unpickling
from pretrained_embed.formats.pickles.pickled import Record, array_of

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
CANARY = "canary"
COMMAND = f"echo sung > {CANARY}"


def load(raw):
    return unpickling.load(memoryview(raw), KNOWN, "x.kv")


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
    "inst": (b"\x80\x02(" + text(COMMAND) + b"ios\nsystem\n.", "INST of os.system"),
    "obj": (b"\x80\x02(" + SYSTEM + text(COMMAND) + b"o.", "os.system"),
    "obj-of-a-known-class": (b"\x80\x02(cnumpy\ndtype\no.", "OBJ"),
    "ext1": (b"\x80\x02\x82\x01.", "EXT1"),
    "ext2": (b"\x80\x02\x83\x01\x00.", "EXT2"),
    "ext4": (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
    "persistent-id": (b"\x80\x02Pos.system\n.", "PERSID"),
    "binary-persistent-id": (b"\x80\x02" + text("x") + b"Q.", "BINPERSID"),
    "buffer": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "read-only-buffer": (b"\x80\x05]\x98.", "READONLY_BUFFER"),
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


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_no_file_of_vectors_needs_is_refused_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw, what = PAYLOADS[name]

    with pytest.raises(FormatError) as caught:
        load(raw)

    assert f"it asks for {what}, which no file of word vectors needs" in str(
        caught.value
    )
    assert "It was not run" in str(caught.value)
    assert "x.kv, offset" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["system-2", "eval-4", "exec-5", "global", "inst"])
def test_the_payloads_are_live(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    pickle.loads(PAYLOADS[name][0])  # noqa: S301  (it may, in a folder of its own)

    assert (tmp_path / CANARY).exists()


def test_what_may_be_named_is_not_called():
    known = {name: name.rpartition(".")[::2] for name in KNOWN}

    for name, (module, function) in known.items():
        call = f"\x80\x02c{module}\n{function}\n)\x85R.".encode("latin-1")
        try:
            made = load(call)
        except FormatError:
            continue
        if isinstance(made, Record):
            assert str(made.kind) == name
            assert made.args == ((),)
        else:
            assert type(made) in (bytes, list, dict)


VALUES = [
    *(None, True, False, 0, 1, -1, 255, 65535, 1 << 31, -(1 << 63), 1 << 200),
    *(0.0, -1.5, float("inf"), "", "é", "a" * 70_000, "\udcff", "\ud800"),
    *([], [[]], list(range(3000)), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    *({}, {"a": 1, 2: [None]}, {str(n): n for n in range(3000)}, [{"b": ({},)}]),
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
    "list-as-key": (b"\x80\x02}]Ns.", FormatError, "a list as a key"),
    "tuple-as-key": (b"\x80\x02}))s.", FormatError, "a tuple as a key"),
    "float-as-key": (
        b"\x80\x02}G" + bytes(8) + b"Ns.",
        FormatError,
        "a float as a key",
    ),
    "long-key": (
        b"\x80\x02}\x8a\x09" + b"\x01" * 9 + b"Ns.",
        FormatError,
        "a int as a key",
    ),
    "not-utf-8": (b"\x80\x04\x8c\x01\xff.", FormatError, "not UTF-8"),
    "name-without-end": (b"\x80\x02c" + b"a" * 600, FormatError, "no line of at most"),
    "name-of-numbers": (b"\x80\x04K\x01K\x02\x93.", FormatError, "name is no string"),
    "digits": (b"\x80\x02I" + b"9" * 100 + b"\n.", FormatError, "no integer"),
    "long-integer": (
        b"\x80\x02\x8b\x64\0\0\0" + bytes(100) + b".",
        FormatError,
        "an integer of 100 bytes",
    ),
    "huge-integer": (
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        TruncatedError,
        "should follow",
    ),
    "keywords": (
        b"\x80\x04cnumpy\ndtype\n)}" + text("a") + b"Ns\x92.",
        FormatError,
        "keyword arguments",
    ),
    "bytes8": (b"\x80\x04\x8e" + b"\0" * 7 + b"\x10.", TruncatedError, "should follow"),
    "text8": (b"\x80\x04\x8d" + b"\xff" * 8 + b".", TruncatedError, "should follow"),
    "frame": (b"\x80\x04\x95" + b"\0" * 7 + b"\x10N.", TruncatedError, "should follow"),
    "encoding": (
        b"\x80\x02c_codecs\nencode\n" + text("a") + text("rot13") + b"\x86R.",
        FormatError,
        "no _codecs.encode can be made",
    ),
    "factory": (
        b"\x80\x02ccollections\ndefaultdict\n]\x85R.",
        FormatError,
        "no collections.defaultdict can be made",
    ),
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
    assert "more is made of its values than there is" in error
    assert most < 1 << 22


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
    assert type(load(records + b".")) is Record
    with pytest.raises(FormatError, match="a tuple as a key"):
        load(b"\x80\x02})" + b"\x85" * 100_000 + b"Ns.")


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
