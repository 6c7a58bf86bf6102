"""Bytes to read: of files, archives, pipes and remote files, as streams.

`open_source` opens them. A stream has an `Identity`, by which its bytes are recognised.
No module here uses formats, names of the catalog or the cache.
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
