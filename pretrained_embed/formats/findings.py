"""The findings of a reader: notes, bad rows, duplicates, each with a code.

Codes are stable words for programs. JSON has the code beside the text, and so has
``FormatError.code``. Codes that begin with "assumed" are about facts that a reader
cannot know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

from pretrained_embed.errors import RowError

#: How many malformed or suspicious rows are described; all of them are counted.
EXAMPLES = 10

#: Each code, and its meaning.
CODES = {
    "header.count-differs": "the header declares another number of rows than there are",
    "header.dim-first": "the header gives dim before count",
    "header.not-borne-out": "the rows do not have as many numbers as line 1 declares",
    "header.in-words": "line 1 gives count and dim, but not as two integers alone",
    "header.three-integers": "line 1 is a header of three integers or more",
    "header.repeated": "a header stands among the rows",
    "header.tokens-end-in-numbers": "all rows have more numbers than the header "
    "declares, and the tokens are taken to end in them",
    "text.base64-tokens": "tokens were decoded from base64, as deeplearning4j writes "
    "them",
    "text.bad-number": "a field is no number where one is due",
    "text.bad-row": "malformed rows were left out",
    "text.blank-end": "blank lines behind the last row are no rows",
    "text.blank-line": "a blank line among the rows",
    "text.byte-order-mark": "a byte order mark was left out",
    "text.column-numbers": "line 1 numbers the columns",
    "text.comma-tokens": "most tokens end in a mark, such as a comma, a colon or ->",
    "text.comment": "line 1 is a comment",
    "text.counts": "the rows look like counts of words, not like vectors",
    "text.dim-1": "rows have one number",
    "text.indented": "a blank stands before most tokens",
    "text.layout-differs": "the file is not laid out as it was said to be",
    "text.last-number": "the last number of each row is whole, the one before never",
    "text.line-ends": "lines end in CR alone",
    "text.long-row": "a row has more numbers than dim",
    "text.numbers-in-tokens": "numbers stand within most tokens",
    "text.no-final-line-end": "the last line has no line end",
    "text.no-tokens": "rows are numbers without tokens",
    "text.odd-token": "a byte order mark is a part of a token",
    "text.quoted-tokens": "quotes stand around tokens, as in CSV",
    "text.repeated-tokens": "rows repeat a token",
    "text.row-numbers": "most tokens begin with a whole number",
    "text.row-without-token": "a row has no token",
    "text.same-word": "most tokens end, or begin, in the same way",
    "text.separator": "something else than one space or one tab separates the fields",
    "text.short-row": "a row has fewer numbers than dim",
    "text.surplus-number": "a row has a number more than dim, taken for its token's",
    "text.two-columns": "two columns stand before the numbers",
    "text.wrapped-rows": "rows are wrapped over several lines",
    "table.bad-row": "a row of a table has no token, or no vector as long as most",
    "binary.big-endian": "numbers have their highest byte first",
    "binary.byte-order-unknown": "a few numbers are of sizes that vectors hardly have, "
    "and would be usual with their bytes in the other order",
    "binary.blank-in-token": "tokens hold a blank, which the format does not know",
    "binary.cut-row": "the file ends within a row",
    "table.no-rows": "a table has no rows",
    "assumed.first-number": "(i) without a header: all tokens may end in a number; the "
    "first of each row is taken for the vector's",
    "assumed.surplus-in-token": "(ii) without a header: what some rows have more is "
    "taken for their tokens'",
    "assumed.whole-numbers": "(iii) without a header: all fields are whole numbers, "
    "and the first ones are taken for tokens",
    "assumed.first-row-of-two": "(iv) rows of one number: whether two integers in line "
    "1 are a header or a row",
    "assumed.first-row-of-three": "(v) rows of two numbers: three integers in line 1 "
    "are taken for a row",
    "assumed.one-row": "(vi) without a header: one row, all of whose numbers are taken "
    "for its vector",
    "assumed.numbers-are-tokens": "(vii) without a header: all fields are numbers, and "
    "the first ones are taken for tokens",
    "build.one-process": "one process worked, as others cannot open what it was given",
    "file.cut": "a part of the file is missing that is not needed",
    "file.empty": "files without a row were left out",
    "file.left-out": "a part of the file was not read: columns, arrays, labels",
    "file.shards": "the rows are in several files",
    "matrix.part": "the rows are some of a matrix",
    "matrix.tokenizer-unknown": "nothing was saved of how the vocabulary reads texts",
    "rows.without-token": "rows have no token, such as padding",
    "store.fault": "a store could not be used or made, or was made anew",
    "tokens.digits": "tokens were saved as numbers",
    "tokens.from": "from which file, layer or array the tokens are",
    "tokens.no-subwords": "no other tokens can be made of the n-grams",
    "tokens.numbers-spelled": "the source spells numbers in another way than the "
    "vocabulary",
    "tokens.replaced": "added tokens took the rows of others",
    "vectors.from": "from which tensor or mapping the vectors are",
    "vectors.norms": "the norms of the vectors are kept apart, and not multiplied in",
    "vectors.rounded": "rows of another dtype were put together",
    "vectors.shared": "tokens share vectors",
    "vectors.stored-as": "the numbers are stored in another dtype than float32",
    "vectors.weighted": "each vector was multiplied by the weight of its token",
    "other": "a plug-in, or a former release, said it without a code",
}
#: With what the codes begin that are about how a file is laid out.
_ON_LAYOUT = ("assumed.", "binary.", "header.", "table.", "text.")


class Note(str):
    """A remark on a file as a whole: a text with its code.

    Parameters
    ----------
    code : str
        A key of ``CODES``.
    text : str
        The text for people.

    Examples
    --------
    >>> [note.code for note in reader.findings.notes]  # doctest: +SKIP
    """

    __slots__ = ("code",)
    code: str

    def __new__(cls, code: str, text: str) -> Self:
        """Return a note; ``code`` is a key of `CODES`."""
        note = super().__new__(cls, text)
        note.code = code
        return note

    @property
    def on_layout(self) -> bool:
        """Whether it is about how the file is laid out."""
        return self.code.startswith(_ON_LAYOUT)

    def __reduce__(self) -> tuple[type[Note], tuple[str, str]]:
        """Pickle with the code."""
        return Note, (self.code, str(self))


def gathered_notes(noted: Iterable[tuple[str, Iterable[Note]]]) -> list[Note]:
    """Return the notes of several files, each once, with the first file that has it."""
    names: dict[tuple[str, str], list[str]] = {}
    for name, notes in noted:
        for note in notes:
            names.setdefault((note.code, str(note)), []).append(name)
    gathered = []
    for (code, text), where in names.items():
        more = f" and {len(where) - 1:,} more" if len(where) > 1 else ""
        gathered.append(Note(code, f"{where[0]}{more}: {text}"))
    return gathered


class Doubt(NamedTuple):
    """A row that is malformed and was left out, or was read but is suspicious.

    Examples
    --------
    >>> for doubt in reader.findings.doubts:  # doctest: +SKIP
    ...     print(doubt.line, doubt)
    """

    row: int  # 0-based, in file order, malformed rows included
    line: int | None  # 1-based; None in a binary file
    what: str
    code: str = "text.bad-row"  # a key of `CODES`


@dataclass
class Findings:
    """What a reader found in a file besides vectors.

    Examples
    --------
    >>> Findings(rows=3, duplicates=1).duplicates
    1
    """

    rows: int = 0  # rows in the file, malformed ones included
    bad_rows: int = 0  # malformed rows that were left out
    suspicious_rows: int = 0  # rows that were read but seem one value too long
    duplicates: int = 0  # later occurrences of tokens
    doubts: list[Doubt] = field(default_factory=list)  # the first of these rows
    notes: list[Note] = field(default_factory=list)  # remarks on the file as a whole

    def __post_init__(self) -> None:
        """Give a code to what plug-ins and former releases say without one."""
        self.notes = [
            note if isinstance(note, Note) else Note("other", note)
            for note in self.notes
        ]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled, by former releases as well."""
        vars(self).update(vars(Findings(**state)))

    @property
    def codes(self) -> dict[str, int]:
        """The findings by code, with the number of rows; a note counts once."""
        counts = {
            "text.bad-row": self.bad_rows,
            "text.surplus-number": self.suspicious_rows,
            "text.repeated-tokens": self.duplicates,
        }
        found = {code: count for code, count in counts.items() if count}
        return found | {note.code: 1 for note in self.notes}

    def of_file(self, name: str) -> Self:
        """Return the findings with the file's name in all texts.

        Parameters
        ----------
        name : str
            The name of the file.

        Returns
        -------
        Findings
            The same findings.
        """
        return replace(
            self,
            doubts=[
                doubt._replace(what=f"{name}: {doubt.what}") for doubt in self.doubts
            ],
            notes=[Note(note.code, f"{name}: {note}") for note in self.notes],
        )

    @property
    def facts(self) -> dict[str, Any]:
        """Everything with the codes, as JSON-compatible values for other programs."""
        return vars(self) | {
            "doubts": [doubt._asdict() for doubt in self.doubts],
            "notes": [*map(str, self.notes)],
            "note_codes": [note.code for note in self.notes],
            "codes": self.codes,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values, for `from_dict`.

        Returns
        -------
        dict
            The fields; a note is a pair of code and text.
        """
        return vars(self) | {
            "doubts": [list(doubt) for doubt in self.doubts],
            "notes": [[note.code, str(note)] for note in self.notes],
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return the findings for the result of `to_dict`, also of earlier releases.

        Parameters
        ----------
        saved : mapping
            The saved findings.

        Returns
        -------
        Findings
            The same findings.

        Raises
        ------
        TypeError, KeyError
            For a value that is no saved findings.
        """
        doubts = [
            Doubt(*doubt[: 3 if doubt[3:] == [None] else None])
            for doubt in saved["doubts"]
        ]
        notes = [n if isinstance(n, str) else Note(*n) for n in saved["notes"]]
        found = cls(**{**saved, "doubts": doubts, "notes": notes})
        numbers = [found.rows, found.bad_rows, found.suspicious_rows, found.duplicates]
        numbers += [doubt.row for doubt in doubts]
        numbers += [doubt.line for doubt in doubts if doubt.line is not None]
        texts = [text for doubt in doubts for text in (doubt.what, doubt.code)]
        texts += [note.code for note in found.notes]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise TypeError("findings with a number that is none")
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("findings with a text that is none")
        return found


_NAMED = 3


def check_bad_rows(findings: Findings, most: int | float, name: str) -> None:
    """Raise `RowError`, which names the first rows, if a file has too many bad rows.

    ``most`` is a number of rows, or as a ``float`` a share of the rows.
    """
    # 0.29 of 100 rows is 28.999..., but a user means 29 rows
    share = int(most * findings.rows + 1e-6)
    allowed = most if isinstance(most, int) else share
    if findings.bad_rows <= allowed:
        return
    first = findings.doubts[:_NAMED]
    line = first[0].line if first else None
    found = "; ".join(_sentence(doubt) for doubt in first)
    raise RowError(
        f"{name}: {findings.bad_rows:,} of {findings.rows:,} rows are malformed, "
        f"{allowed:,} may be (bad_rows={most}). The first: {found}. If so many "
        "are bad, the file is probably not what it should be: get it again, or allow "
        "more",
        line=line,
        found=found,
    )


def _sentence(doubt: Doubt) -> str:
    place = f"row {doubt.row:,}" if doubt.line is None else f"line {doubt.line:,}"
    return f"{place}: {doubt.what}"
