"""Reading what a provenance says of sources, whatever made the matrix, or the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pretrained_embed.bits import Dtype, Loss
from pretrained_embed.errors import WriteError
from pretrained_embed.files.digests import fingerprint
from pretrained_embed.files.reading import is_file

#: The key of a provenance that tells how far rows moved when they were rounded.
ROUNDING = "rounding"

_FINGERPRINT = "blake2b-128-sampled:"  # as the provenance of a file has it


def sources_of(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is known of each source, in the order in which a ledger counts them.

    The sources of a matrix that was trained are those of the one it started from.
    """
    listed = provenance.get("sources", [provenance.get("source")])
    if listed == [None]:
        started = provenance.get("trained_from")
        return sources_of(started) if isinstance(started, dict) else []
    if not isinstance(listed, list):
        return []
    return [one if isinstance(one, dict) else {"name": str(one)} for one in listed]


def name_of(source: Mapping[str, Any]) -> str:
    """Return what to call a source: its name in the catalog, else that of its file."""
    return str(source.get("source") or source.get("name") or "an unnamed source")


def digest_of(source: Mapping[str, Any]) -> str | None:
    """Return ``"algorithm:value"`` of a source's content, the first that is known."""
    digests = source.get("digests")
    for digest in digests if isinstance(digests, list) else ():
        if isinstance(digest, dict) and {"algorithm", "value"} <= digest.keys():
            return f"{digest['algorithm']}:{digest['value']}"
    fingerprint = source.get("fingerprint")
    return None if fingerprint is None else str(fingerprint)


def options_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a matrix, or what it was trained from, was built by."""
    options = provenance.get("options")
    if options is None and isinstance(provenance.get("trained_from"), dict):
        return options_of(provenance["trained_from"])
    return options if isinstance(options, dict) else {}


def shown_options(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that say something: all that are not at rest."""
    return {
        name: value
        for name, value in options_of(provenance).items()
        if name != "version"
        and not (value is None or value is False or value in ([], {}))
    }


def forms_of(provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of forms in the order of their own codes in the ledger.

    Those of the match chain come first, then those of forms that are not in it, but
    found rows which were kept.
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
    """Return the provenance of a matrix that is kept in the bits of another dtype.

    ``loss`` is how far its rows moved, if they could, and ``before`` the dtype that
    they had: of numbers that were rounded already.
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
    """Return what rounding did to the rows: what is measured, its mean and its worst.

    Nothing where they were not rounded.
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
    """Raise `WriteError` where ``path`` is a file that the matrix was built from.

    ``sources`` is what the provenance tells of each. The content of the file counts,
    not its name, so that another file of that name can be replaced.
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
    """Return what is known of the files of a source of several."""
    parts = source.get("parts")
    listed = parts if isinstance(parts, list) else []
    return [part for part in listed if isinstance(part, dict)]
