"""The tasks of an evaluation, read from files as they are published.

=============  ===================================================================
kind           a line of the file
=============  ===================================================================
similarity     two words, and a number: the rating of the two. Other columns, and a
               first line of names, are ignored.
analogy        four words, ``Athens Greece Oslo Norway``; or two, below a line
               ``: section``: every two pairs of a section are two questions. In
               a folder, as BATS is, each file of pairs is a section, and a second
               word may be several that are right: ``big<TAB>bigger/larger``.
odd one out    a word; words that belong together, an empty line, and words of which
               each is the odd one among them. A folder has a file for each set.
category       a word and its category, in a file without sections.
=============  ===================================================================

Fields are separated by tabs, else commas or semicolons, else blanks. Lines that begin
with ``#`` are comments.
"""

from __future__ import annotations

import csv
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
    others: tuple[str, ...] = ()  # other fourth words that are right


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
                yield from (item.answer, *item.others)


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
    """Return the task of a file, or of a folder of sets or of pairs.

    Raises `SourceError` if it cannot be read, and `FormatError`, which names the line,
    for an unknown form.
    """
    where = Path(path)
    name = name or where.stem
    kind, items = _folder(where) if where.is_dir() else _file(where)
    if not items:
        raise FormatError(
            f"{where}: it has no question: an analogy is made of four words, or of two "
            "pairs in one section"
        )
    return Task(name, kind, tuple(items))


def _folder(where: Path) -> tuple[Kind, list[Item]]:
    """Return the items of a folder and of the folders in it, which are of one kind."""
    kinds: dict[Kind, list[Item]] = {}
    for file in sorted(where.rglob("*.txt")):
        lines = _lines(file)
        rows = _rows(lines, file)
        if all(len(fields) > 1 for _, fields in rows):
            kinds.setdefault("analogy", []).extend(_paired(rows, file))
        else:
            kinds.setdefault(_ODD, []).extend(_odd_one_out(lines, file))
    if len(kinds) != 1:
        raise FormatError(
            f"{where}: {'files of two kinds' if kinds else 'no .txt file'} in it; give "
            "a folder of sets with an odd one out, or of pairs (analogies, as BATS)"
        )
    ((kind, items),) = kinds.items()
    return kind, items


def _file(where: Path) -> tuple[Kind, list[Item]]:
    lines = _lines(where)
    rows = _rows(lines, where)
    if any(fields[0].startswith(":") for _, fields in rows):
        return "analogy", [*_sections(rows, where)]
    width = len(rows[0][1])
    if width == 1:
        return _ODD, [*_odd_one_out(lines, where)]
    first = _first_word(rows)
    # the first line may be the names of the columns
    columns = [_number_column(fields, first + 2) for _, fields in rows[1::-1]]
    column = next((one for one in columns if one is not None), None)
    if column is not None:
        return "similarity", [*_judged(rows, first, column, where)]
    if width == 4:
        return "analogy", [*_sections(rows, where)]
    if width == 2:
        items = [
            Item((fields[0],), fields[1]) for _, fields in _of_width(rows, (2,), where)
        ]
        if len({item.answer for item in items}) == len(items) > 1:
            raise FormatError(
                f"{where}: no two of its {len(items):,} words are of one category; for "
                "analogies of these pairs write ': section' on the first line, or give "
                "the folder that the file is in"
            )
        return "category", items
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


def _rows(lines: Sequence[str], where: Path) -> list[tuple[int, list[str]]]:
    """Return the fields of the lines that count, and the numbers of these lines."""
    rows = [(n, _fields(line)) for n, line in enumerate(lines, 1) if _counts(line)]
    if not rows:
        raise FormatError(f"{where}: no line of it has a word")
    return rows


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _fields(line: str) -> list[str]:
    if line.startswith(":"):
        return [line.strip()]
    if "\t" in line.strip():
        return [field.strip() for field in line.strip().split("\t")]
    for sign in (";", ","):
        if sign in line.strip():
            (fields,) = csv.reader([line], delimiter=sign, skipinitialspace=True)
            return [field.strip() for field in fields]
    return line.split()


def _number(field: str) -> float | None:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", field, re.I):
        return None
    return float(field)


def _first_word(rows: Sequence[tuple[int, list[str]]]) -> int:
    """Return the column of the first word: 1 if the rows are numbered, else 0."""
    for _, fields in rows[1:] or rows:
        numbers = [_number(field) is not None for field in fields[:3]]
        if len(fields) < 4 or numbers != [True, False, False]:
            return 0
    return 1


def _number_column(fields: Sequence[str], start: int) -> int | None:
    """Return the first column from ``start`` on that is a number, if there is one."""
    numbers = (n for n, field in enumerate(fields) if _number(field) is not None)
    return next((n for n in numbers if n >= start), None)


def _judged(
    rows: Sequence[tuple[int, list[str]]], first: int, column: int, where: Path
) -> Iterator[Item]:
    for place, (line, fields) in enumerate(rows):
        field = fields[column] if len(fields) > column else ""
        number = _number(field)
        words = fields[first : first + 2]
        if number is None:
            if place == 0 and not re.match(r"[+-]?\.?\d", field):  # names of columns
                continue
            raise FormatError(
                f"{where}:{line}: field {column + 1} is no number: it is to be what "
                f"people said of {brief(' and '.join(words))}"
            )
        yield Item(tuple(words), number=number)


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


def _paired(rows: Sequence[tuple[int, list[str]]], where: Path) -> Iterator[Item]:
    """Yield the questions of a file of pairs; a second word may be one of several."""
    pairs = [(a, b.split("/")) for _, (a, b) in _of_width(rows, (2,), where)]
    for a, (b, *_) in pairs:
        for c, (d, *others) in pairs:
            if a != c:
                yield Item((a, b, c), d, section=where.stem, others=tuple(others))


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
