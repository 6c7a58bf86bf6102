"""Keywords that functions had in earlier releases, and what is written now."""

from __future__ import annotations

from collections.abc import Mapping

from pretrained_embed.errors import OptionError

#: Keywords that are fields of a `Library` now.
LIBRARY = {
    "cache_dir": "library=pe.Library(cache_dir)",
    "offline": "library=pe.Library(offline=...)",
    "catalog": "library=pe.Library(catalog=...)",
    "use_store": "library=pe.Library(stores=...)",
    "mmap": "library=pe.Library(mmap=...)",
}


def refuse(former: Mapping[str, object], table: Mapping[str, str]) -> None:
    """Raise for keywords that a function does not have.

    ``former`` are those that were given, with their values. ``table`` has, by its old
    name, what is written in the place of each. Raises `OptionError` for one that is in
    the table, and Python's own `TypeError` for any other.

    >>> refuse({"extend": "m.npz"}, {"extend": "onto="})
    Traceback (most recent call last):
    pretrained_embed.errors.OptionError: extend= is onto= now: give it as that
    """
    for name in former:
        if name in table:
            raise OptionError(f"{name}= is {table[name]} now: give it as that")
        raise TypeError(f"got an unexpected keyword argument {name!r}")
