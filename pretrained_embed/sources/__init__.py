"""Where vectors come from: names, URLs, paths, archives and pipes, as byte streams.

`open_source` is the way in. It knows nothing of formats: it hands over bytes.
"""

from pretrained_embed.sources.digests import fingerprint, sha256
from pretrained_embed.sources.opening import Source, open_source
from pretrained_embed.sources.stream import AnyStream, OneShot, Stream

__all__ = [
    "AnyStream",
    "OneShot",
    "Source",
    "Stream",
    "fingerprint",
    "open_source",
    "sha256",
]
