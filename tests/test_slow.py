"""What `pytest -m "not slow"` runs: something of every room, and no name is stale."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.slow import room_of, slow_names, too_slow

ROOT = Path(__file__).parents[1]


@cache
def functions() -> frozenset[str]:
    """Return all test functions, from the root; those of classes with their class."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        file = path.relative_to(ROOT).as_posix()
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.add(f"{file}::{node.name}")
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                found.add(f"{file}::{node.name}")
    return frozenset(found)


def test_something_of_every_room_is_fast():
    slow = slow_names()
    fast = {
        function
        for function in functions()
        if slow.isdisjoint((function, function.partition("::")[0]))
    }

    assert {room_of(name) for name in fast} == {room_of(name) for name in functions()}


def test_every_slow_test_is_there():
    known = functions() | {function.partition("::")[0] for function in functions()}

    stale = {
        name
        for name in slow_names()
        if name not in known and name.rpartition("::")[0] not in known
    }

    assert stale == set()


def test_the_quickest_of_each_room_is_left():
    seconds = {
        "tests/a/test_x.py::test_1": 9.0,
        "tests/a/test_x.py::test_2": 7.0,
        "tests/a/test_y.py::test_3": 8.0,
        "tests/test_z.py::test_4": 0.01,
        "tests/test_z.py::test_5": 5.0,
    }

    assert too_slow(seconds) == [
        "tests/a/test_x.py::test_1",
        "tests/a/test_y.py",
        "tests/test_z.py::test_5",
    ]
