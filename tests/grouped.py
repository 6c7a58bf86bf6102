"""Fields of `Recipe`, `Limits`, `Work` and `Shards`, as arguments of `build_matrix`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pretrained_embed as pe

_SHORT = {"match", "oov", "seed"}  # which `build_matrix` takes itself, too
_RECIPE, _LIMITS, _WORK = (
    {field.name for field in fields(kind)} for kind in (pe.Recipe, pe.Limits, pe.Work)
)


def grouped(**options: Any) -> dict[str, Any]:
    """Return options that are given one by one as `build_matrix` takes them.

    For tests that vary them. ``files`` makes shards of ``out``; what is a field of
    nothing stays as it is.

    """
    recipe = {name: options.pop(name) for name in [*options] if name in _RECIPE}
    limits = {name: options.pop(name) for name in [*options] if name in _LIMITS}
    work = {name: options.pop(name) for name in [*options] if name in _WORK}
    made: dict[str, Any] = dict(recipe)
    if recipe.keys() - _SHORT:
        made = {"recipe": pe.Recipe(**recipe)}
    if limits:
        made["limits"] = pe.Limits(**limits)
    files = options.pop("files", None)
    if files is not None:
        options["out"] = pe.Shards(options["out"], files)
    if work:
        made["work"] = pe.Work(**work)
    return {**made, **options}
