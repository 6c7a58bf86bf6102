r"""Pickles read as inert data: nothing is imported, no function of theirs is called.

A pickle is a program for a small stack machine, and Python's own machine lets it call
whatever it names. This one builds numbers, strings, lists and dictionaries only. An
object becomes a `PickledObject`: the name of its class and what belongs to it. It makes
no difference whether there is such a class: it is a name. What is put into an object
that is no list or dictionary is left out. ::

    pickle = *(opcode argument) "."
    PROTO  = %x80 version       FRAME  = %x95 uint64      MARK = "("
    GLOBAL = "c" module LF name LF                        REDUCE = "R"    BUILD = "b"
    numbers are little-endian, those of BINFLOAT big-endian

https://github.com/python/cpython/blob/main/Lib/pickletools.py describes all opcodes.
Read are those of protocols 2 to 5, as Python 2 and 3 write them; not read are
extension codes, buffers kept elsewhere, the objects of protocol 0 and, unless they are
asked for, persistent ids: what stands in such a place is a `PickledObject` of the kind
`ELSEWHERE`, whose one argument is the id.

Sizes are compared with the bytes there are before anything is allocated, and what is
made is taken from a budget. Large byte strings are views, not copies. Values may be
nested to any depth and hold themselves, and any value may stand in any number of
places: walk them with care.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats.local import Cursor
from pretrained_embed.formats.pickles.opcodes import MARK, NUMBERED, PLAIN, SIZED, STOP
from pretrained_embed.formats.pickles.pickled import (
    ELSEWHERE,
    UNNAMED,
    Digits,
    Global,
    PickledObject,
    text_of,
)

_PROTOCOLS = (2, 3, 4, 5)
_LONGEST_NAME = 512  # bytes of a line: the name of a module or class, or a number
_LONGEST_INTEGER = 32  # bytes; the state of a random generator takes 16
_SMALL = 1 << 12  # byte strings up to this size are copied
_DEEPEST_STACK = 1 << 16  # pickles add to lists a thousand values at a time
_INTEGER = Global("builtins", "int")
_BINFLOAT = struct.Struct(">d")

# Opcodes that come in long runs, and how many bytes each takes with its number.
_SHORT_TEXT, _MEMOIZE = 0x8C, 0x94
_GETS = {ord("h"): 2, ord("j"): 5}
_SIGNED = ord("J")
_INTEGERS = {ord("K"): 2, ord("M"): 3, _SIGNED: 5}
_RUNS = frozenset((_SHORT_TEXT, *_GETS))
_CHUNK = 1 << 14


#: Stands in the memo where nothing was put.
_NOTHING = object()


class Pickle(NamedTuple):
    """What a pickle describes."""

    value: Any
    names: set[str]  # of the classes and functions that occur in it, dotted
    size: int  # bytes of the pickle: others may follow it
    ids: list[Any]  # that are persistent: of what is kept elsewhere


def load(
    data: memoryview, where: str, budget: Budget, *, persistent: bool = False
) -> Pickle:
    """Return the value that a pickle describes; some refer to what is kept elsewhere.

    Values are None, bool, int, float, str, bytes, memoryview, list (for sets, too),
    tuple, dict with keys of str (bytes and strings of NumPy become str, with
    surrogate escapes where they are not UTF-8, integers `Digits`; entries with other
    keys are left out), `Global` and `PickledObject`. Raises `FormatError` for what is
    no such pickle, or takes more than the ``budget``, and `TruncatedError` where it
    ends too early.
    """
    machine = _Machine(data, where, budget, persistent=persistent)
    return Pickle(machine.run(), machine.names, machine.size, machine.ids)


#: A method, the bytes of the number that follows the opcode, and what the method is
#: given: a constant where no number follows, else the table that the opcode is in.
_Step = tuple[Callable[[Any], object], int, Any]


class _Machine:
    def __init__(
        self, data: memoryview, where: str, budget: Budget, *, persistent: bool
    ) -> None:
        self._data = data
        self._cursor = Cursor(data, where, "the pickle")
        self.names: set[str] = set()
        self.ids: list[Any] = []
        self._has_ids = persistent
        self._where = where
        self._stack: list[Any] = []
        self._push = self._stack.append
        self._memo: list[Any] = []
        self._take = budget.take

    @property
    def size(self) -> int:
        """How many bytes the pickle has, once it was run."""
        return self._cursor.at + 1

    def run(self) -> Any:
        data, cursor, stack = self._data, self._cursor, self._stack
        size, steps = len(data), self._steps()
        while cursor.at < size:
            at = cursor.at
            if data[at] == STOP:
                return self._pop()
            if data[at] not in _RUNS or not self._run_of_values(at):
                step, width, argument = steps[data[at]]
                cursor.at = end = at + 1 + width
                if width:
                    number = int.from_bytes(data[at + 1 : end], "little")
                    argument = cursor.take(number) if argument is SIZED else number
                step(argument)
            if len(stack) > _DEEPEST_STACK:
                raise cursor.damaged(f"more than {_DEEPEST_STACK:,} values wait")
        raise TruncatedError(
            f"{self._where}: the pickle has no end; get the file again"
        )

    def _run_of_values(self, at: int) -> bool:
        """Push what most of a large pickle is: strings kept in the memo, and integers
        beside strings from there. Stops before anything else; says if it did some.
        """
        chunk = bytes(self._data[at : at + _CHUNK])
        push, memo, size, place = self._push, self._memo, len(chunk), 0
        while place + 7 < size:
            code = chunk[place]
            if code == _SHORT_TEXT:
                end = place + 2 + chunk[place + 1]
                if end >= size or chunk[end] != _MEMOIZE:
                    break
                raw = chunk[place + 2 : end]
                text = raw.decode() if raw.isascii() else self._decoded(raw)
                memo.append(text)
                push(text)
                place = end + 1
            elif code in _GETS:
                end = place + _GETS[code]
                index = int.from_bytes(chunk[place + 1 : end], "little")
                if index >= len(memo) or memo[index] is _NOTHING:
                    break
                push(memo[index])
                place = end
            elif code in _INTEGERS:
                end = place + _INTEGERS[code]
                signed = code == _SIGNED
                push(int.from_bytes(chunk[place + 1 : end], "little", signed=signed))
                place = end
            else:
                break
        self._cursor.at = at + place
        return place > 0

    def _steps(self) -> list[_Step]:
        """Return what each opcode does."""
        steps: list[_Step] = [(self._refuse_opcode, 0, code) for code in range(256)]
        for codes in (NUMBERED, SIZED):
            for code, (name, width) in codes.items():
                steps[code[0]] = getattr(self, name), width, codes
        for code, (name, constant) in PLAIN.items():
            steps[code[0]] = getattr(self, name), 0, constant
        return steps

    # --- The stack and the memo

    def _push_new(self, kind: Callable[[], Any]) -> None:
        self._take(OBJECT)
        self._stack.append(kind())

    def _pop(self, _: None = None) -> Any:
        if not self._stack or self._stack[-1] is MARK:
            raise self._cursor.damaged("a value is missing")
        return self._stack.pop()

    def _pop_to_mark(self, _: None = None) -> list[Any]:
        stack = self._stack
        for at in range(len(stack) - 1, -1, -1):
            if stack[at] is MARK:
                values = stack[at + 1 :]
                del stack[at:]
                return values
        raise self._cursor.damaged("a mark is missing")

    def _top(self, *kinds: type) -> Any:
        if not self._stack or (kinds and type(self._stack[-1]) not in kinds):
            raise self._cursor.damaged("a value is missing, or of another kind")
        return self._stack[-1]

    def _duplicate(self, _: None) -> None:
        self._stack.append(self._top())

    def _put(self, index: int) -> None:
        memo, value = self._memo, self._top()
        if index > len(memo):  # whoever wrote it counts on from 0 or 1
            if index > self._cursor.at:
                raise self._cursor.damaged(f"value {index:,} comes before the others")
            memo += [_NOTHING] * (index - len(memo))
        memo[index : index + 1] = [value]

    def _memoize(self, _: None) -> None:
        self._put(len(self._memo))

    def _get(self, index: int) -> None:
        if index >= len(self._memo) or self._memo[index] is _NOTHING:
            raise self._cursor.damaged(f"value {index:,} is used before it is there")
        self._stack.append(self._memo[index])

    # --- Plain values

    def _protocol(self, version: int) -> None:
        if version not in _PROTOCOLS:
            raise self._cursor.damaged(f"protocol {version} is not known")

    def _frame(self, size: int) -> None:
        self._cursor.take(size)  # is it there?
        self._cursor.at -= size

    def _line(self) -> str:
        return self._cursor.line(_LONGEST_NAME).decode("utf-8", "backslashreplace")

    def _number_line(self, _: None) -> None:
        line = self._line()
        digits = line.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(line) < _LONGEST_INTEGER):
            raise self._cursor.damaged(f"{line[:_LONGEST_INTEGER]!r} is no integer")
        self._stack.append(int(line))

    def _signed(self, number: int) -> None:
        self._stack.append(number - (1 << 32) if number >> 31 else number)

    def _long(self, raw: memoryview) -> None:
        if len(raw) > _LONGEST_INTEGER:  # of a random generator, perhaps
            self._stack.append(PickledObject(_INTEGER, (raw,)))
        else:
            self._stack.append(int.from_bytes(raw, "little", signed=True))

    def _float(self, _: None) -> None:
        self._stack += _BINFLOAT.unpack(self._cursor.take(_BINFLOAT.size))

    def _bytes(self, raw: memoryview) -> None:
        self._stack.append(bytes(raw) if len(raw) <= _SMALL else raw)

    def _text(self, raw: memoryview) -> None:
        self._stack.append(self._decoded(raw))

    def _decoded(self, raw: memoryview | bytes) -> str:
        try:
            return str(raw, "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise self._cursor.damaged("a string is not UTF-8") from error

    # --- Containers

    def _append(self, _: None) -> None:
        value = self._pop()
        target = self._top(list, PickledObject)
        if type(target) is list:
            target.append(value)

    def _extend(self, _: None) -> None:
        values = self._pop_to_mark()
        target = self._top(list, PickledObject)
        if type(target) is list:
            target.extend(values)

    def _marked(self, kind: type) -> None:
        values = self._pop_to_mark()
        self._take(OBJECT + 8 * len(values))
        self._stack.append(kind(values))

    def _tuple(self, count: int) -> None:
        self._take(OBJECT)
        values = [self._pop() for _ in range(count)]
        self._stack.append(tuple(values[::-1]))

    def _set_item(self, _: None) -> None:
        value, key = self._pop(), self._pop()
        self._fill(self._top(dict, PickledObject), (key, value))

    def _set_items(self, _: None) -> None:
        values = self._pop_to_mark()
        self._fill(self._top(dict, PickledObject), values)

    def _fill(self, target: dict[Any, Any] | PickledObject, values: Any) -> None:
        if len(values) % 2:
            raise self._cursor.damaged("a key has no value")
        if type(target) is not dict:
            return
        if not target:
            self._take(2 * OBJECT)
        self._take(OBJECT // 2 * len(values))
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is not str:
                key = _key(key)
            if key is not None:
                target[key] = value

    # --- Names and objects

    def _global(self, _: None) -> None:
        self._name(Global(self._line(), self._line()))

    def _stack_global(self, _: None) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise self._cursor.damaged("a name is no string")
        self._name(Global(module, name))

    def _name(self, name: Global) -> None:
        self._take(4 * OBJECT + 2 * len(name.module) + 2 * len(name.name))
        self.names.add(str(name))
        self._stack.append(name)

    def _object(self, make: Callable[[Global, tuple[Any, ...]], Any]) -> None:
        args, kind = self._pop(), self._pop()
        if type(kind) is PickledObject:  # what getattr gave, or a function of functions
            kind = UNNAMED
        if type(kind) is not Global or type(args) is not tuple:
            raise self._cursor.damaged("an object without a name or arguments")
        value = make(kind, args)
        self._take(OBJECT)
        if type(value) in (bytes, list):  # a few bytes ask for it, however long it is
            self._take(len(value) * (1 if type(value) is bytes else 8))
        self._stack.append(value)

    def _object_with_keywords(self, _: None) -> None:
        if type(self._pop()) is not dict:
            raise self._cursor.damaged("keyword arguments without their names")
        self._object(PickledObject)

    def _persistent(self, _: None) -> None:
        if not self._has_ids:
            raise self._refused("BINPERSID")
        self._take(2 * OBJECT)
        self.ids.append(self._pop())
        self._stack.append(PickledObject(ELSEWHERE, (self.ids[-1],)))

    def _build(self, _: None) -> None:
        state = self._pop()
        target = self._top(PickledObject, list, dict, bytes, memoryview)
        if type(target) is PickledObject:
            target.state = state
            size = target.bytes_behind(self._where)
            if size is not None:
                if target.attributes.get("numpy_array_alignment_bytes") is not None:
                    self._cursor.take(self._cursor.unsigned(1))
                target.become_array(self._cursor.take(size))

    # --- What is refused

    def _refuse_opcode(self, opcode: int) -> NoReturn:
        import pickletools

        names = {known.code: known.name for known in pickletools.opcodes}
        name = names.get(chr(opcode))
        if name is None:
            raise self._cursor.damaged(f"byte {opcode:#04x} is no opcode")
        if name == "INST":
            name += f" of {Global(self._line(), self._line())}"
        raise self._refused(name)

    def _refused(self, what: str) -> FormatError:
        return FormatError(
            f"{self._where}, offset {self._cursor.at:,} of the pickle: it asks for "
            f"{what}, which no file of word vectors needs. It was not run, and nothing "
            "else was. If you trust the file, open it with what wrote it and save the "
            "vectors alone"
        )


def _key(key: Any) -> str | None:
    """Return a key that hashes in bounded time, ``None`` for another.

    Of integers that a file chooses all can have one hash, of strings they cannot.
    """
    return Digits(key) if type(key) is int else text_of(key)
