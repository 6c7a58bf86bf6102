"""What this machine has that matters here, found without importing any of it."""

from __future__ import annotations

import platform
from typing import Any

from pretrained_embed import Library, kernel, versions
from pretrained_embed.cli.output import facts, size
from pretrained_embed.kernel import choice
from pretrained_embed.library import packages

#: The frameworks that an adapter is for.
_FRAMEWORKS = ("torch", "keras", "jax", "flax", "equinox", "gensim")


def environment_facts(library: Library) -> dict[str, Any]:
    """Return versions, kernel, cache, data packages and frameworks, for JSON."""
    return {
        **versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "kernel": kernel.IMPLEMENTATION,
        "kernel_reason": choice.reason(),
        "kernel_remedy": choice.remedy(),
        "cache": str(library.cache.folder),
        "cache_bytes": sum(file.size for file in library.cache.entries()),
        "data_packages": packages.names(),
        "frameworks": _frameworks(),
    }


def environment_text(known: dict[str, Any]) -> str:
    """Return the same a line each."""
    frameworks = [f"{name} {version}" for name, version in known["frameworks"].items()]
    return facts(
        [
            ("pretrained-embed", known["pretrained_embed"]),
            ("kernel", _kernel(known)),
            ("python", known["python"]),
            ("numpy", known["numpy"]),
            ("platform", known["platform"]),
            ("cache", f"{known['cache']} ({size(known['cache_bytes'])})"),
            ("data packages", ", ".join(known["data_packages"]) or "none"),
            ("frameworks", ", ".join(frameworks) or "none"),
        ]
    )


def _kernel(known: dict[str, Any]) -> str:
    why = [known[name] for name in ("kernel_reason", "kernel_remedy") if known[name]]
    return f"{known['kernel']} ({'; '.join(why)})" if why else str(known["kernel"])


def _frameworks() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _FRAMEWORKS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
