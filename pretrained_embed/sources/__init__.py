"""Bytes to read: of files, archives, pipes and remote files, as streams.

`open_source` is the way in. A stream has an `Identity`: what its bytes are known by. No
module here knows a format, a name of the catalog or the cache.
"""

from pretrained_embed.files.digests import fingerprint, sha256
from pretrained_embed.sources.source import Source, open_source
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
