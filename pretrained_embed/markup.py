"""How a matrix is displayed: tables, and the names of kinds of pictures.

Tables are HTML for notebooks and text for terminals.

Every text is data. In HTML it is escaped, so that it never becomes markup; in a
terminal, characters that would move the cursor are shown as numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal
from unicodedata import combining, east_asian_width

#: How vectors are projected into the plane: see `EmbeddingMatrix.plot`.
Projection = Literal["pca", "tsne", "umap"]

#: The suffixes with which a picture of `EmbeddingMatrix.plot` can be saved.
PICTURE_SUFFIXES = (".png", ".svg", ".pdf")


def visible(content: object) -> str:
    """Return a text with each invisible character replaced by its number."""
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in str(content)
    )


def text(content: object) -> str:
    """Return a text as HTML, invisible characters as numbers."""
    return escape(visible(content))


def paragraph(content: object) -> str:
    """Return a paragraph of HTML."""
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


def columns(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()
) -> str:
    """Return rows as columns two spaces apart; ``right`` are right-aligned ones."""
    lines = [head, *rows]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(head))]
    ends = set(right)
    return "\n".join(
        "  ".join(
            " " * (width - _width(cell)) * (i in ends)
            + cell
            + " " * (width - _width(cell)) * (i not in ends)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _width(cell: str) -> int:
    """Return how many columns a text takes in a terminal."""
    if cell.isascii():
        return len(cell)
    return sum(
        0 if combining(character) else 1 + (east_asian_width(character) in "WF")
        for character in cell
    )
