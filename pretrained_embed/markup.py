"""HTML for notebooks. Every text is data: it is escaped, and never becomes markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def text(content: object) -> str:
    """Return a text as HTML; what cannot be seen or encoded as its number."""
    visible = "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in str(content)
    )
    return escape(visible)


def paragraph(content: object) -> str:
    """Return a paragraph of text."""
    return f"<p>{text(content)}</p>"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; the first cell of each row is its heading."""
    lines = [f"<table><caption>{text(caption)}</caption>", "<thead><tr>"]
    lines += [f'<th scope="col">{text(name)}</th>' for name in head]
    lines.append("</tr></thead><tbody>")
    for first, *rest in rows:
        cells = "".join(f"<td>{text(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{text(first)}</th>{cells}</tr>')
    return "".join([*lines, "</tbody></table>"])
