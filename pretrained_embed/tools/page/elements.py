"""Elements of HTML, made from data: text is always escaped."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

#: How many characters of a text are shown.
LONGEST = 200

#: The content of an element.
Node = Element | str | None


def tag(name: str, *children: Node, **attributes: str) -> Element:
    """Return an element; children that are ``None`` are left out.

    In names of attributes ``_`` becomes ``-``, and one at the end is removed:
    ``class_``, ``aria_label``.
    """
    named = {key.rstrip("_").replace("_", "-"): attributes[key] for key in attributes}
    element = Element(name, named)
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif child and len(element):
            element[-1].tail = (element[-1].tail or "") + child
        elif child:
            element.text = (element.text or "") + child
    return element


def html(nodes: Iterable[Element]) -> str:
    """Return elements as HTML, one after the other."""
    return "\n".join(tostring(node, "unicode", method="html") for node in nodes)


def token(text: str) -> Element:
    """Return a token as an element that isolates its text direction."""
    return tag("bdi", shown(text), class_="token")


def shown(text: str) -> str:
    r"""Return a text with escapes for invisible characters, shortened if too long.

    >>> shown("zero\u200bwidth")
    'zero\\u200bwidth'
    """
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text):,} characters)"
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else repr(c)[1:-1] for c in text)
    return "".join(escaped)


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Node]],
    *,
    numbers: Iterable[int] = (),
    wide: bool = False,
) -> Element:
    """Return a table in a box that scrolls if the table is too wide.

    The first cell of each row is its heading; the columns ``numbers`` are
    right-aligned. With ``wide`` the last column gets the remaining width.
    """
    right = set(numbers)

    def cell(kind: str, column: int, *content: Node, **attributes: str) -> Element:
        if column in right:
            attributes["class_"] = "number"
        return tag(kind, *content, **attributes)

    body = [
        tag(
            "tr",
            cell("th", 0, row[0], scope="row"),
            *(cell("td", i, content) for i, content in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    heads = [cell("th", i, text, scope="col") for i, text in enumerate(head)]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", *heads)),
            tag("tbody", *body),
            class_="wide" if wide else "",
        ),
        class_="scrolls",
        tabindex="0",  # so that it can be scrolled by keyboard
        role="region",
        aria_label=caption,
    )


def facts(pairs: Iterable[tuple[str, Node]]) -> Element:
    """Return names and values, without those that are ``None``."""
    known = [(name, value) for name, value in pairs if value is not None]
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in known]
    return tag("dl", *rows, class_="facts")


def bar(share: float) -> Element:
    """Return a bar that fills a share of its box, 0 to 1, beside its text."""
    filled = tag("rect", class_="filled", width=f"{100 * share:.2f}%", height="100%")
    whole = tag("rect", class_="whole", width="100%", height="100%")
    return tag("svg", whole, filled, class_="bar", aria_hidden="true")


def section(name: str, title: str, *content: Node) -> Element:
    """Return a section with a heading as its label."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, *content, id=name, aria_labelledby=f"{name}-title")


paragraph = functools.partial(tag, "p")
code = functools.partial(tag, "code")
