"""The catalog: what is known of the vectors that can be asked for by name.

``catalog.json`` beside this file has ``{"schema": 1, "entries": [...]}``; an entry has
the fields of `Entry`, of which ``id`` and ``urls`` are needed and the rest is null or
left out where it is not known. A catalog of one's own, in the same form, is named by
an argument or by the environment variable ``PRETRAINED_EMBED_CATALOG``; its entries
take the place of ours with the same id.

An id with ``{lang}`` is a template: one entry for each of its languages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import SourceError, UnknownSourceError
from pretrained_embed.sources.entry import Entry
from pretrained_embed.sources.schema import entry_from_json

ENVIRONMENT = "PRETRAINED_EMBED_CATALOG"

_LONGEST = 100  # characters of a name that others are compared with


class Catalog(dict[str, Entry]):
    """Entries by id, templates included."""

    def get_entry(self, name: str) -> Entry | None:
        """Return the entry ``name``, which may be one of a template, or ``None``."""
        if name in self and not self[name].is_template:
            return self[name]
        for template in self.values():
            before, mark, after = template.id.partition("{lang}")
            code = name[len(before) : len(name) - len(after)]
            if mark and name == f"{before}{code}{after}" and code in template.languages:
                return template.for_language(code)
        return None

    def find(self, name: str) -> Entry:
        """Return the entry ``name``.

        Raises `UnknownSourceError`, which suggests the nearest names.
        """
        entry = self.get_entry(name)
        if entry is None:
            raise UnknownSourceError(
                f"no known source of vectors is called {name!r}{self.suggestion(name)}"
            )
        return entry

    def suggestion(self, name: str) -> str:
        """Return what to add where a name is not known: the nearest, or how to list."""
        from difflib import get_close_matches

        near = get_close_matches(
            name.lower()[:_LONGEST], [e.id for e in self._every()], n=3
        )
        if near:
            return f"; did you mean {' or '.join(near)}?"
        return "; pretrained-embed list shows the names there are"

    def entries(
        self,
        *,
        language: str | None = None,
        family: str | None = None,
        dim: int | None = None,
    ) -> list[Entry]:
        """Return the entries that fit, in the order of the catalog.

        A template is one entry, unless a language is asked for.
        """
        chosen = self.values() if language is None else self._every()
        return [
            entry
            for entry in chosen
            if (language is None or language in entry.languages)
            and family in (None, entry.family)
            and dim in (None, entry.dim)
        ]

    def _every(self) -> Iterator[Entry]:
        for entry in self.values():
            if not entry.is_template:
                yield entry
                continue
            for code in entry.languages:
                if (one := entry.for_language(code)).id not in self:
                    yield one


def bundled() -> Catalog:
    """Return the catalog that comes with this package."""
    return read(Path(__file__).with_name("catalog.json"))


def load(extra_path: str | os.PathLike[str] | None = None) -> Catalog:
    """Return our catalog, with the entries of another one merged into it.

    The other one is ``extra_path`` or what ``PRETRAINED_EMBED_CATALOG`` names. Raises
    `SourceError` where it cannot be read or has a wrong form.
    """
    catalog = bundled()
    if extra_path is None and os.environ.get(ENVIRONMENT):
        extra_path = Path(os.environ[ENVIRONMENT]).expanduser()
    if extra_path is not None:
        catalog.update(read(extra_path))
    return catalog


def read(path: str | os.PathLike[str]) -> Catalog:
    """Read one catalog file.

    Raises `SourceError` where it cannot be read or has a wrong form.
    """
    with refusing_damage(f"catalog {path}", "is no JSON", "", kind=SourceError):
        document = json.loads(Path(os.fsdecode(path)).read_bytes())
    if not isinstance(document, dict) or document.get("schema") != 1:
        raise SourceError(f'catalog {path}: an object with "schema": 1 is expected')
    raw = document.get("entries")
    if not isinstance(raw, list):
        raise SourceError(f'catalog {path}: a list "entries" is expected')
    catalog = Catalog()
    for number, one in enumerate(raw):
        try:
            entry = entry_from_json(one)
        except ValueError as error:
            name = one.get("id", "?") if isinstance(one, dict) else "?"
            raise SourceError(
                f"catalog {path}: entry {number} ({name!s:.100}): {error}"
            ) from error
        if entry.id in catalog:
            raise SourceError(f"catalog {path}: two entries have the id {entry.id}")
        catalog[entry.id] = entry
    return catalog
