"""The error of an adapter whose framework is not installed."""

from __future__ import annotations

from pretrained_embed.errors import MissingPackageError


def missing(
    package: str, adapter: str, extra: str | None = None
) -> MissingPackageError:
    """Return the error that says how to install the ``package`` of an ``adapter``.

    ``extra`` is named like the adapter unless it is given.
    """
    return MissingPackageError(
        f"pretrained_embed.adapters.{adapter} needs {package}, which is not installed "
        f"or cannot be imported: pip install 'pretrained-embed[{extra or adapter}]'"
    )
