"""Reading the facts about sources from any provenance."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pretrained_embed.bits import Dtype, Loss
from pretrained_embed.errors import WriteError
from pretrained_embed.files.digests import fingerprint
from pretrained_embed.files.reading import is_file

#: The provenance key for how far rows moved when they were rounded.
ROUNDING = "rounding"

_FINGERPRINT = "blake2b-128-sampled:"  # as the provenance of a file has it


def sources_of(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the facts about each source, in the order in which a ledger counts them.

    The sources of a trained matrix are those of the one it started from.
    """
    listed = provenance.get("sources", [provenance.get("source")])
    if listed == [None]:
        started = provenance.get("trained_from")
        return sources_of(started) if isinstance(started, dict) else []
    if not isinstance(listed, list):
        return []
    return [one if isinstance(one, dict) else {"name": str(one)} for one in listed]


def name_of(source: Mapping[str, Any]) -> str:
    """Return the name of a source: in the catalog, or of its file."""
    return str(source.get("source") or source.get("name") or "an unnamed source")


def digest_of(source: Mapping[str, Any]) -> str | None:
    """Return ``"algorithm:value"`` of a source's content, the first known digest."""
    digests = source.get("digests")
    for digest in digests if isinstance(digests, list) else ():
        if isinstance(digest, dict) and {"algorithm", "value"} <= digest.keys():
            return f"{digest['algorithm']}:{digest['value']}"
    fingerprint = source.get("fingerprint")
    return None if fingerprint is None else str(fingerprint)


def options_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the build options of a matrix, or of the one it was trained from."""
    options = provenance.get("options")
    if options is None and isinstance(provenance.get("trained_from"), dict):
        return options_of(provenance["trained_from"])
    return options if isinstance(options, dict) else {}


def shown_options(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that differ from their defaults."""
    return {
        name: value
        for name, value in options_of(provenance).items()
        if name != "version"
        and not (value is None or value is False or value in ([], {}))
    }


def forms_of(provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of forms in the order of their own codes in the ledger.

    Those of the match chain come first, then other forms that found kept rows.
    """
    started, kept = provenance.get("trained_from"), provenance.get("kept_forms")
    if isinstance(started, dict):
        forms = forms_of(started)
    else:
        chain = options_of(provenance).get("match")
        forms = tuple(map(str, chain)) if isinstance(chain, list) else ()
    return (*forms, *map(str, kept)) if isinstance(kept, list) else forms


def rounded(
    provenance: Mapping[str, Any], dtype: Dtype, loss: Loss | None, before: Dtype
) -> dict[str, Any]:
    """Return the provenance of a matrix that is rounded to another dtype.

    ``loss`` is how far its rows moved, if they did, and ``before`` their former dtype,
    if they were rounded already.
    """
    told = {key: value for key, value in provenance.items() if key != ROUNDING}
    if isinstance(told.get("options"), dict):
        told["options"] = {**told["options"], "dtype": dtype}
    if before != "float32":
        told["rounded_before"] = [*told.get("rounded_before", ()), before]
    if loss is not None:
        told[ROUNDING] = loss.facts(dtype)
    return told


def rounding_of(provenance: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return how rounding changed the rows.

    Parameters
    ----------
    provenance : mapping
        The provenance of a matrix.

    Returns
    -------
    list of (str, str, str)
        Each measure, its mean and its worst value; empty if the rows were not rounded.

    Examples
    --------
    >>> rounding_of({})
    []
    """
    match provenance.get(ROUNDING):
        case {
            "cosine": {"mean": float(mean), "worst": float(worst)},
            "norm_error": {"mean": float(moved), "worst": float(most)},
        }:
            return [
                ("cosine", mean, worst),
                ("relative error of the length", moved, most),
            ]
    return []


def check_place(
    path: str | os.PathLike[str], sources: Iterable[Mapping[str, Any]]
) -> None:
    """Raise an error if a path is a file that the matrix was built from.

    Files are compared by content, not by name, so that another file of the same name
    can be replaced.

    Parameters
    ----------
    path : path
        The file to be written.
    sources : sequence of mapping
        The provenance's facts about each source.

    Raises
    ------
    WriteError
        If the path is the file of a source.

    Examples
    --------
    >>> check_place("new.npz", [])
    """
    target = Path(os.fsdecode(path))
    files = [file for source in sources for file in (source, *_parts(source))]
    known = [str(file.get("fingerprint", "")) for file in files]
    if not any(one.startswith(_FINGERPRINT) for one in known) or not is_file(target):
        return
    if _FINGERPRINT + fingerprint(target) in known:
        raise WriteError(
            f"{str(target)!r} is a source of this matrix, and would be lost: give the "
            "matrix another name"
        )


def _parts(source: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the facts about the files of a source of several files."""
    parts = source.get("parts")
    listed = parts if isinstance(parts, list) else []
    return [part for part in listed if isinstance(part, dict)]
