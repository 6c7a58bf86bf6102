"""The facts about the layout of a file that a user gives.

::

    layout = pair "," pair ...
    pair   = "dim=" number | "rows=" number
           | "header=" ("yes" | "no")
           | "separator=" ("space" | "tab" | "tab-space" | "space-tab")
           | "token=" column | "vector=" column

A format uses the given facts instead of recognising them, and checks them against the
file. ``Format.layout`` lists the facts that a format uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

from pretrained_embed.errors import OptionError, suggestion

if TYPE_CHECKING:
    from pretrained_embed.formats.reader import ByteStream

#: The separator between the numbers, and the one between token and numbers.
SEPARATORS = {
    "space": (b" ", b" "),
    "tab": (b"\t", b"\t"),
    "tab-space": (b" ", b"\t"),  # a tab after the token, spaces between the numbers
    "space-tab": (b"\t", b" "),
}

_ANSWERS = {"yes": True, "no": False}


@dataclass(frozen=True)
class KnownLayout:
    """The known facts about a layout; ``None`` means that it is recognised.

    Parameters
    ----------
    dim : int, optional
        How many numbers a row has, at least 1.
    header : bool, optional
        Whether the first line is a header.
    separator : str, optional
        A key of ``SEPARATORS``.
    rows : int, optional
        How many rows have a token, at least 1; later rows are left out.
    token, vector : str, optional
        The columns with tokens and vectors of a table, such as Parquet.

    Raises
    ------
    OptionError
        For an invalid value.

    Examples
    --------
    >>> str(KnownLayout(dim=300, header=True))
    'dim=300,header=yes'
    """

    dim: int | None = None
    header: bool | None = None
    separator: str | None = None
    rows: int | None = None
    token: str | None = None
    vector: str | None = None

    def __str__(self) -> str:
        """Return the layout as `parse_layout` reads it."""
        words = {True: "yes", False: "no"}
        return ",".join(
            f"{name}={words[value] if isinstance(value, bool) else value}"
            for name in self.given
            for value in [getattr(self, name)]
        )

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the given facts."""
        names = (field.name for field in fields(self))
        return tuple(name for name in names if getattr(self, name) is not None)

    def check_use(self, used: tuple[str, ...], format: str, where: str) -> Self:
        """Return the layout, if a format uses all of it.

        Parameters
        ----------
        used : collection of str
            The names of the facts that the format uses.
        format, where : str
            The names of format and file, for the message.

        Returns
        -------
        KnownLayout
            The same layout.

        Raises
        ------
        OptionError
            For a fact that the format does not use.
        """
        unused = [name for name in self.given if name not in used]
        if unused:
            can = f"can be told {' and '.join(used)} alone" if used else "needs none"
            raise OptionError(
                f"{where}: layout gives {' and '.join(unused)}, and the format "
                f"{format} {can}; leave that out"
            )
        return self


#: A layout in any form: "dim=300,header=yes", {"dim": 300, "header": True}.
AnyLayout = KnownLayout | Mapping[str, Any] | str | None


def parse_layout(given: AnyLayout) -> KnownLayout | None:
    """Return a layout that was given in any form.

    Parameters
    ----------
    given : str, mapping, KnownLayout or None
        The facts, such as "dim=300,header=yes".

    Returns
    -------
    KnownLayout or None
        ``None`` if nothing is given.

    Raises
    ------
    OptionError
        For an unknown name or an invalid value.

    Examples
    --------
    >>> parse_layout("dim=300,header=yes").dim
    300
    >>> str(parse_layout({"separator": "tab", "rows": 5}))
    'separator=tab,rows=5'
    """
    if given is None or isinstance(given, KnownLayout):
        return given
    if isinstance(given, str):
        pairs = [pair.partition("=") for pair in given.split(",")]
        if len({name.strip() for name, _, _ in pairs}) < len(pairs):
            raise OptionError(f"layout is {given!r}; each name can be there once")
        given = {name.strip(): value.strip() for name, _, value in pairs}
    elif not isinstance(given, Mapping):
        raise OptionError(
            f"layout is {given!r}; write it as 'dim=300,header=yes' or as a mapping"
        )
    known = {}
    for name, value in given.items():
        if name not in _VALUES:
            raise OptionError(
                f"layout has no {name!r}; it has {', '.join(_VALUES)}"
                f"{suggestion(str(name), _VALUES)}"
            )
        known[name] = None if value is None else _VALUES[name](name, value)
    return KnownLayout(**known)


def with_columns(layout: KnownLayout | None, stream: ByteStream) -> KnownLayout:
    """Return a layout with the columns that a source names: ``FILE#token=word``.

    Raises `OptionError` if it names anything else, or the layout has other columns.
    """
    layout = layout or KnownLayout()
    if stream.fragment is None:
        return layout
    named = parse_layout(stream.fragment) if "=" in stream.fragment else None
    if named is None or not {*named.given} <= {"token", "vector"}:
        raise OptionError(
            f"{stream.name}: behind the # stand columns, as in "
            "FILE#token=COLUMN,vector=COLUMN"
        )
    given = {name: getattr(named, name) for name in named.given}
    for name, value in given.items():
        if getattr(layout, name) not in (None, value):
            raise OptionError(
                f"{stream.name}: the layout says {name}={getattr(layout, name)}; name "
                "the column once"
            )
    return replace(layout, **given)


def _count(name: str, value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:19])
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError(f"layout: {name} is {value!r}; it is a number, at least 1")
    return value


def _answer(name: str, value: object) -> bool:
    if isinstance(value, str) and value in _ANSWERS:
        return _ANSWERS[value]
    if isinstance(value, bool):
        return value
    raise OptionError(f"layout: {name} is {value!r}; it can be yes or no")


def _separator(name: str, value: object) -> str:
    if isinstance(value, str) and value in SEPARATORS:
        return value
    near = suggestion(str(value), SEPARATORS)
    raise OptionError(
        f"layout: {name} is {value!r}; it can be {', '.join(SEPARATORS)}{near}"
    )


def _column(name: str, value: object) -> str:
    if isinstance(value, str) and value and "," not in value:
        return value
    raise OptionError(
        f"layout: {name} is {value!r}; it is the name of a column, without a comma"
    )


_VALUES: dict[str, Callable[[str, object], Any]] = {
    "dim": _count,
    "header": _answer,
    "separator": _separator,
    "rows": _count,
    "token": _column,
    "vector": _column,
}
