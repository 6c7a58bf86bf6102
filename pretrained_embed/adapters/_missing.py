"""The error of an adapter whose framework is not installed."""

from __future__ import annotations

from pretrained_embed.errors import MissingPackageError


def missing(package: str, extra: str) -> MissingPackageError:
    """Return the error that says how to install ``package``."""
    return MissingPackageError(
        f"pretrained_embed.adapters.{extra} needs {package}, which is not installed "
        f"or cannot be imported: pip install 'pretrained-embed[{extra}]'"
    )
