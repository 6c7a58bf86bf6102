"""Telling an object by the names of its classes: no library is imported for that."""

from __future__ import annotations


def is_a(value: object, *names: str) -> bool:
    """Tell whether an object is of one of some classes, or of one made from these.

    A name is that of the package and that of the class, ``"pandas.DataFrame"``: in
    which module of the package the class is changes from release to release.

    >>> is_a(True, "builtins.int")
    True
    """
    return any(
        f"{kind.__module__.partition('.')[0]}.{kind.__name__}" in names
        for kind in type(value).__mro__
    )


def named(value: object) -> str:
    """Return what to call an object: ``"pandas.DataFrame"``.

    >>> named({})
    'dict'
    """
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return kind.__name__ if package == "builtins" else f"{package}.{kind.__name__}"
