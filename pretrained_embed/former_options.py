"""Keywords that functions had in earlier releases, and what is written now."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pretrained_embed.errors import OptionError, suggestion

#: Keywords that are fields of a `Library` now.
LIBRARY = {
    "cache_dir": "library=pe.Library(cache_dir)",
    "offline": "library=pe.Library(offline=...)",
    "catalog": "library=pe.Library(catalog=...)",
    "use_store": "library=pe.Library(stores=...)",
    "mmap": "library=pe.Library(mmap=...)",
}

#: Keywords that are fields of a `Recipe` now.
RECIPE = {
    name: f"recipe=pe.Recipe({name}=...)"
    for name in (
        *("special_oov", "combine", "scale", "normalize_each", "postprocess"),
        "layout",
    )
}

#: Keywords that are the one field of `Limits` now that has to do with rows.
BAD_ROWS = {
    "on_bad_row": "limits=pe.Limits(bad_rows=1.0)",
    "max_bad_rows": "limits=pe.Limits(bad_rows=...)",
}

#: Keywords that are fields of `Limits` now.
LIMITS = {
    "min_coverage": "limits=pe.Limits(coverage=...)",
    "min_token_coverage": "limits=pe.Limits(text_coverage=...)",
    **BAD_ROWS,
}

#: Keywords that are fields of `Work` now.
WORK = {
    name: f"work=pe.Work({name}=...)"
    for name in ("threads", "executor", "memory", "advise")
}


def refuse(
    former: Mapping[str, object], table: Mapping[str, str], function: Callable[..., Any]
) -> None:
    """Raise `OptionError` for keywords that a function does not have.

    ``former`` are those that were given, with their values. ``table`` has, by its old
    name, what is written in the place of each. Of another name the nearest parameter of
    ``function`` is told, if one is near.

    >>> def build(*, onto=None): ...
    >>> refuse({"extend": "m.npz"}, {"extend": "onto="}, build)
    Traceback (most recent call last):
    pretrained_embed.errors.OptionError: extend= is onto= now: give it as that
    >>> refuse({"ontoo": "m.npz"}, {}, build)
    Traceback (most recent call last):
    pretrained_embed.errors.OptionError: build has no ontoo=; did you mean 'onto'?
    >>> refuse({"colour": "red"}, {}, build)
    Traceback (most recent call last):
    pretrained_embed.errors.OptionError: build has no colour=; help(build) tells all
    """
    for name in former:
        if name in table:
            raise OptionError(f"{name}= is {table[name]} now: give it as that")
        known = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        told = suggestion(name, known) or f"; help({function.__qualname__}) tells all"
        raise OptionError(f"{function.__name__} has no {name}={told}")
