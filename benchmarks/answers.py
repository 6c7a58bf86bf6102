"""Whether a peer's answer is ours, bit for bit, and what differs where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_ROWS = 10_000  # compared at once


def compare(theirs_path: Path, ours_path: Path) -> str:
    """Say in a few words how an answer differs from ours: "same" if it does not."""
    theirs, ours = (np.load(path, mmap_mode="r") for path in (theirs_path, ours_path))
    if theirs.shape != ours.shape:
        return f"shape {theirs.shape}, ours {ours.shape}"
    if theirs.dtype != ours.dtype:
        return f"{theirs.dtype}, ours {ours.dtype}"
    differing = empty = 0
    farthest = 0.0
    for start in range(0, len(ours), _ROWS):
        a, b = theirs[start : start + _ROWS], ours[start : start + _ROWS]
        unlike = a.view(np.uint32) != b.view(np.uint32)
        if not unlike.any():
            continue
        lost = ~a.any(axis=1) & b.any(axis=1)
        unlike[lost] = False
        empty += int(lost.sum())
        differing += int(unlike.sum())
        if unlike.any():
            far = np.abs(a[unlike] - b[unlike].astype(np.float64))
            farthest = max(farthest, float(far.max()))
    remarks = []
    if empty:
        remarks.append(f"{empty:,} rows not found")
    if differing:
        remarks.append(f"{differing:,} numbers differ, by {farthest:.1g} at most")
    return "; ".join(remarks) or "same"
