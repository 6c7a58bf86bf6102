"""The tests that take long, by name: ``pytest -m "not slow"`` leaves them out.

Their names are in ``slow.txt``, measured and not guessed: ``pytest --write-slow`` runs
the whole suite and writes it anew. A line is a function, with all of its cases, or a
file whose functions are all slow; then the file is not even imported. A new test is
fast until somebody measures it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

LIST = Path(__file__).with_name("slow.txt")

#: Seconds that all cases of a function may take together, and not be slow.
_LONGEST = 0.1

#: Seconds that each function took, all cases and what is set up for them.
_seconds: Counter[str] = Counter()


def slow_names() -> frozenset[str]:
    """Return the functions, and the files, that are slow, from the root."""
    return frozenset(LIST.read_text("utf-8").split())


def room_of(function: str) -> str:
    """Return the folder of a test under ``tests``."""
    return function.partition("::")[0].rpartition("/")[0]


def too_slow(seconds: dict[str, float]) -> list[str]:
    """Return what is slow of functions that took so long.

    Of each folder the quickest function is left, so that every room is tested.
    """
    quickest: dict[str, str] = {}
    for function in sorted(seconds, key=lambda name: (seconds[name], name)):
        quickest.setdefault(room_of(function), function)
    slow = {
        function
        for function, took in seconds.items()
        if took > _LONGEST and function not in quickest.values()
    }
    files = defaultdict(set)
    for function in seconds:
        files[function.partition("::")[0]].add(function)
    whole = {file for file, functions in files.items() if functions <= slow}
    return sorted(
        whole | {name for name in slow if name.partition("::")[0] not in whole}
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-slow", action="store_true", help="write tests/slow.txt anew"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes long; see tests/slow.py")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import files of which nothing would run."""
    if config.getoption("markexpr") != "not slow":
        return None
    name = collection_path.relative_to(config.rootpath)
    return True if name.as_posix() in slow_names() else None


def mark_slow(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that are in the list."""
    slow = slow_names()
    for item in items:
        function = item.nodeid.partition("[")[0]
        if not slow.isdisjoint((function, function.partition("::")[0])):
            item.add_marker("slow")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid.partition("[")[0]] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    worker = hasattr(session.config, "workerinput")
    if session.config.getoption("--write-slow") and not worker:
        LIST.write_text("\n".join([*too_slow(_seconds), ""]), "utf-8")
