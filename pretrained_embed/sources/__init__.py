"""Where vectors come from: names, URLs, paths, archives and pipes, as byte streams.

`open_source` is the way in. It knows nothing of formats: it hands over bytes. What can
be asked for by name is in `pretrained_embed.sources.catalog`, what was downloaded in
`pretrained_embed.sources.cache`; `pretrained_embed.sources.fetching` does the work.
"""

from pretrained_embed.files.digests import fingerprint, sha256
from pretrained_embed.sources.opening import (
    Resolved,
    Source,
    fetch,
    open_source,
    resolve,
)
from pretrained_embed.sources.stream import AnyStream, OneShot, Stream

__all__ = [
    "AnyStream",
    "OneShot",
    "Resolved",
    "Source",
    "Stream",
    "fetch",
    "fingerprint",
    "open_source",
    "resolve",
    "sha256",
]
