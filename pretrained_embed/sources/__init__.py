"""Where vectors come from: names, URLs, paths, archives and pipes, as byte streams.

`open_source` is the way in. It knows nothing of formats: it hands over bytes. What it
downloads goes into the `cache`; what can be asked for by name is in the `catalog`.
"""

from pretrained_embed.sources import cache, catalog, packages
from pretrained_embed.sources.digests import Progress, fingerprint, sha256
from pretrained_embed.sources.fetching import fetch
from pretrained_embed.sources.opening import Source, open_source
from pretrained_embed.sources.stream import AnyStream, OneShot, Stream

__all__ = [
    "AnyStream",
    "OneShot",
    "Progress",
    "Source",
    "Stream",
    "cache",
    "catalog",
    "fetch",
    "fingerprint",
    "open_source",
    "packages",
    "sha256",
]
