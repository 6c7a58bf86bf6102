"""What there is of a name: nothing of one that no file can have, too long or with NUL.

The methods of `pathlib.Path` raise for such a name.
"""

from __future__ import annotations

import os
from pathlib import Path


def exists(path: str | Path) -> bool:
    """Return whether there is anything of this name."""
    return os.path.exists(path)  # noqa: PTH110  (see above)


def is_file(path: str | Path) -> bool:
    """Return whether a file has this name."""
    return os.path.isfile(path)  # noqa: PTH113  (see above)


def is_folder(path: str | Path) -> bool:
    """Return whether a folder has this name."""
    return os.path.isdir(path)  # noqa: PTH112  (see above)
