"""What each opcode of a pickle does, in the words of `unpickling`."""

from __future__ import annotations

from typing import Any

from pretrained_embed.formats.pickles.pickled import PickledObject, made

STOP = ord(".")


class _Mark:
    """Stands on the stack below a run of values."""


MARK = _Mark()

#: Opcodes that a little-endian number follows: what is done with it, and its bytes.
NUMBERED: dict[bytes, tuple[str, int]] = {
    b"\x80": ("_protocol", 1),
    b"\x95": ("_frame", 8),
    b"K": ("_push", 1),
    b"M": ("_push", 2),
    b"J": ("_signed", 4),
    b"q": ("_put", 1),
    b"r": ("_put", 4),
    b"h": ("_get", 1),
    b"j": ("_get", 4),
}

#: Opcodes that a size and so many bytes follow: what is done with these bytes, and the
#: bytes of the size.
SIZED: dict[bytes, tuple[str, int]] = {
    b"\x8a": ("_long", 1),
    b"\x8b": ("_long", 4),
    b"U": ("_bytes", 1),
    b"T": ("_bytes", 4),
    b"C": ("_bytes", 1),
    b"B": ("_bytes", 4),
    b"\x8e": ("_bytes", 8),
    b"\x96": ("_bytes", 8),
    b"\x8c": ("_text", 1),
    b"X": ("_text", 4),
    b"\x8d": ("_text", 8),
}

#: All others that are read: what is done, and with what.
PLAIN: dict[bytes, tuple[str, Any]] = {
    b"N": ("_push", None),
    b"\x88": ("_push", True),
    b"\x89": ("_push", False),
    b"I": ("_number_line", None),  # how Python 2 writes what needs over 32 bits
    b"G": ("_float", None),
    b"(": ("_push", MARK),
    b"0": ("_pop", None),
    b"1": ("_pop_to_mark", None),
    b"2": ("_duplicate", None),
    b"\x94": ("_memoize", None),
    b"]": ("_push_new", list),
    b"\x8f": ("_push_new", list),  # a set
    b"a": ("_append", None),
    b"e": ("_extend", None),
    b"\x90": ("_extend", None),
    b"\x91": ("_marked", list),  # a frozen set
    b")": ("_push", ()),
    b"\x85": ("_tuple", 1),
    b"\x86": ("_tuple", 2),
    b"\x87": ("_tuple", 3),
    b"t": ("_marked", tuple),
    b"}": ("_push_new", dict),
    b"s": ("_set_item", None),
    b"u": ("_set_items", None),
    b"c": ("_global", None),
    b"\x93": ("_stack_global", None),
    b"R": ("_object", made),
    b"\x81": ("_object", PickledObject),
    b"\x92": ("_object_with_keywords", None),
    b"b": ("_build", None),
    b"Q": ("_persistent", None),
}
