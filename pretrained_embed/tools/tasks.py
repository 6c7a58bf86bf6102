"""The tasks of an evaluation, read from files as they are published.

=============  ===================================================================
kind           a line of the file
=============  ===================================================================
similarity     two words, and a number: the rating of the two. Other columns, and a
               first line of names, are ignored.
analogy        four words, ``Athens Greece Oslo Norway``; or two, below a line
               ``: section``: every two pairs of a section are two questions.
odd one out    a word; words that belong together, an empty line, and words of which
               each is the odd one among them. A folder has a file for each set.
category       a word and its category, in a file without sections.
=============  ===================================================================

Fields are separated by tabs, else commas or semicolons, else blanks. Lines that begin
with ``#`` are comments.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from pretrained_embed.errors import FormatError, SourceError, brief

Kind = Literal["similarity", "analogy", "odd one out", "category"]

#: The package's own tasks, and those in gensim: name and file.
_OWN = {"categories": "categories.txt", "analogies": "analogies.txt"}
_GENSIMS = {
    "WordSim-353": "wordsim353.tsv",
    "SimLex-999": "simlex999.txt",
    "Google analogies": "questions-words.txt",
}
_ODD: Kind = "odd one out"

#: For each category: how many words belong together, and how many are odd ones.
_TOGETHER, _OTHERS = 8, 8


class Item(NamedTuple):
    """One item of a task."""

    words: tuple[str, ...]
    answer: str = ""  # the fourth word, the odd one, or the category
    number: float = 0.0  # the rating
    section: str = ""


class Task(NamedTuple):
    """Items of one kind."""

    name: str
    kind: Kind
    items: tuple[Item, ...]

    @property
    def words(self) -> Iterator[str]:
        """All words, with repetitions."""
        for item in self.items:
            yield from item.words
            if self.kind == "analogy":
                yield item.answer


def known_tasks() -> tuple[list[Task], list[str]]:
    """Return the tasks available on this machine, and those that are not."""
    folder = Path(__file__).parent / "own_tasks"
    tasks = [read_task(folder / file, name) for name, file in _OWN.items()]
    tasks.append(_odd_ones(tasks[0]))
    missing = []
    if not _is_installed("sklearn"):
        missing.append(
            f"{tasks.pop(0).name} needs scikit-learn: pip install "
            "'pretrained-embed[sklearn]'"
        )
    gensim = find_spec("gensim") if _is_installed("gensim") else None
    if gensim is None or gensim.origin is None:
        missing.append(
            f"{', '.join(_GENSIMS)}: gensim ships them: pip install "
            "'pretrained-embed[gensim]', or give their files as tasks"
        )
        return tasks, missing
    shipped = Path(gensim.origin).parent / "test" / "test_data"
    found = {name: shipped / file for name, file in _GENSIMS.items()}
    there = [read_task(path, name) for name, path in found.items() if path.is_file()]
    return there + tasks, missing


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # it was disabled on purpose
        return False


def read_task(path: str | os.PathLike[str], name: str = "") -> Task:
    """Return the task of a file, or of a folder of sets with an odd one out.

    Raises `SourceError` if it cannot be read, and `FormatError`, which names the line,
    for an unknown form.
    """
    where = Path(path)
    name = name or where.stem
    if where.is_dir():
        files = sorted(file for file in where.iterdir() if file.suffix == ".txt")
        items = [item for file in files for item in _odd_one_out(_lines(file), file)]
        if not items:
            raise FormatError(f"{where}: no .txt file in it has a set of words")
        return Task(name, _ODD, tuple(items))
    lines = _lines(where)
    rows = [(n, _fields(line)) for n, line in enumerate(lines, 1) if _counts(line)]
    if not rows:
        raise FormatError(f"{where}: no line of it has a word")
    if any(fields[0].startswith(":") for _, fields in rows):
        return Task(name, "analogy", tuple(_sections(rows, where)))
    width = len(rows[0][1])
    if width == 1:
        return Task(name, _ODD, tuple(_odd_one_out(lines, where)))
    column = _number_column(rows[-1][1])
    if column is not None:
        return Task(name, "similarity", tuple(_judged(rows, column, where)))
    if width == 4:
        return Task(name, "analogy", tuple(_sections(rows, where)))
    if width == 2:
        items = [
            Item((fields[0],), fields[1]) for _, fields in _of_width(rows, (2,), where)
        ]
        return Task(name, "category", tuple(items))
    raise FormatError(
        f"{where}:{rows[0][0]}: a line of {width} fields without a number; give two "
        "words and a number (similarity), four words (analogy), a word and its "
        "category, or a word a line (odd one out)"
    )


def _lines(path: Path) -> list[str]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{path}: the task cannot be read: {error.strerror or error}"
        ) from error
    try:
        return raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from error


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _fields(line: str) -> list[str]:
    if line.startswith(":"):
        return [line.strip()]
    for sign in ("\t", ";", ","):
        if sign in line.strip():
            return [field.strip() for field in line.strip().split(sign)]
    return line.split()


def _number(field: str) -> float | None:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", field):
        return None
    return float(field)


def _number_column(fields: Sequence[str]) -> int | None:
    """Return the first column after two words that is a number, if there is one."""
    numbers = (
        n for n, field in enumerate(fields) if n > 1 and _number(field) is not None
    )
    return next(numbers, None)


def _judged(
    rows: Sequence[tuple[int, list[str]]], column: int, where: Path
) -> Iterator[Item]:
    for place, (line, fields) in enumerate(rows):
        number = _number(fields[column]) if len(fields) > column else None
        if number is None:
            if place == 0:  # the names of the columns
                continue
            raise FormatError(
                f"{where}:{line}: field {column + 1} is no number: it is to be what "
                f"people said of {brief(' and '.join(fields[:2]))}"
            )
        yield Item((fields[0], fields[1]), number=number)


def _of_width(
    rows: Sequence[tuple[int, list[str]]], widths: tuple[int, ...], where: Path
) -> Iterator[tuple[int, list[str]]]:
    for line, fields in rows:
        if len(fields) not in widths:
            raise FormatError(
                f"{where}:{line}: {len(fields)} fields; expected "
                f"{' or '.join(map(str, widths))}, as in the lines before"
            )
        yield line, fields


def _sections(rows: Sequence[tuple[int, list[str]]], where: Path) -> Iterator[Item]:
    """Yield questions of four words, also those made from the pairs of a section."""
    section = ""
    pairs: dict[str, list[list[str]]] = {}
    for line, fields in rows:
        if fields[0].startswith(":"):
            section = fields[0].removeprefix(":").strip()
            continue
        ((_, words),) = _of_width([(line, fields)], (2, 4), where)
        if len(words) == 4:
            yield Item(tuple(words[:3]), words[3], section=section)
        else:
            pairs.setdefault(section, []).append(words)
    for name, listed in pairs.items():
        for a, b in listed:
            for c, d in listed:
                if a != c:
                    yield Item((a, b, c), d, section=name)


def _odd_one_out(lines: Sequence[str], where: Path) -> Iterator[Item]:
    text = "\n".join(line.strip() for line in lines if not line.startswith("#"))
    parts = [part.split("\n") for part in re.split(r"\n\n+", text.strip()) if part]
    if len(parts) != 2:
        raise FormatError(
            f"{where}: {len(parts)} groups of lines; an odd one out has two, with an "
            "empty line between: the words that belong together, and the odd ones"
        )
    for odd in parts[1]:
        yield Item((*parts[0], odd), odd)


def _odd_ones(categories: Task) -> Task:
    """Return sets of a category's words, each with a word of another category."""
    groups: dict[str, list[str]] = {}
    for item in categories.items:
        groups.setdefault(item.answer, []).append(item.words[0])
    names = list(groups)
    items = []
    for place, name in enumerate(names):
        together = tuple(groups[name][:_TOGETHER])
        others = names[place + 1 :] + names[:place]
        for step, other in enumerate(others[:_OTHERS]):
            odd = groups[other][step % len(groups[other])]
            items.append(Item((*together, odd), odd, section=name))
    return Task(_ODD, _ODD, tuple(items))
