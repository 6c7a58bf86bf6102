"""How the documentation is built, without network: `python -m sphinx docs OUTPUT`.

A page may hold ``<!-- made: NAME -->``: what `MADE` makes takes its place on the site.
"""

import re
from collections.abc import Callable
from typing import Any

from sphinx.application import Sphinx

import pretrained_embed
from pretrained_embed.library import catalog

project = "pretrained_embed"
author = "the developers of pretrained_embed"
version = release = pretrained_embed.__version__
extensions = [
    "myst_nb",  # Markdown, and notebooks
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pretrained_embed"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False

# Every back-quoted name in a docstring is a link, and one that leads nowhere a warning.
default_role = "any"
add_module_names = False
autodoc_typehints = "none"  # the docstrings say in words what is taken
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # a test executes them


def catalog_table() -> str:
    """Return the entries of the catalog, a line each."""
    lines = [
        "| name | dim | rows | language | licence |",
        "| --- | --: | --: | --- | --- |",
    ]
    for entry in catalog.bundled().values():
        rows = "" if entry.rows is None else f"{entry.rows:,}"
        languages = " ".join(entry.languages)
        if len(entry.languages) > 5:
            languages = f"{len(entry.languages)} languages"
        licence = entry.licence or "not known"
        if entry.licence_url:
            licence = f"[{licence}]({entry.licence_url})"
        dim = entry.dim or ""
        lines.append(f"| `{entry.id}` | {dim} | {rows} | {languages} | {licence} |")
    return "\n".join(lines)


MADE: dict[str, Callable[[], str]] = {"catalog": catalog_table}


def put_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Put what is made in the place of its mark, and let the site have linked files."""
    text = re.sub(r"<!-- made: (\w+) -->", lambda m: MADE[m[1]](), source[0])
    up = r"\.\./" * (page.count("/") + 1)  # out of this folder
    outside = rf"(?<!!)\[([^\]]+)\]\(({up}[^)#]+)\)"
    source[0] = re.sub(outside, r"{download}`\1 <\2>`", text)


def escape(app: Sphinx, context: Any, lines: list[str]) -> None:
    """Keep the stars in the help of options from being markup."""
    lines[:] = [line.replace("*", r"\*") for line in lines]


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("source-read", put_in)
    app.connect("sphinx-click-process-options", escape)
