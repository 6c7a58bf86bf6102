"""Telling an object of another library by what it can do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def offers(value: object, *methods: str) -> bool:
    """Tell whether the class of an object has these methods.

    The class is asked, not the object: one that makes up attributes as they are asked
    for, as mocks do, would be taken for anything.
    """
    return all(callable(getattr(type(value), method, None)) for method in methods)


def array(value: Any) -> npt.NDArray[Any]:
    """Return a tensor, or what else an array can be made of, as one."""
    if offers(value, "cpu"):  # of torch, where it may be on another device
        value = value.cpu()
    return np.asarray(value)
