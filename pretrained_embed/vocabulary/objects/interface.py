"""Telling an object of another library by what it can do."""

from __future__ import annotations


def offers(value: object, *methods: str) -> bool:
    """Tell whether the class of an object has these methods.

    The class is asked, not the object: one that makes up attributes as they are asked
    for, as mocks do, would be taken for anything.
    """
    return all(callable(getattr(type(value), method, None)) for method in methods)
