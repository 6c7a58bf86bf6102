"""The verb `examine`: a checkup of any source."""

from __future__ import annotations

from pathlib import Path

from pretrained_embed.files.digests import sha256
from pretrained_embed.formats import AnyLayout
from pretrained_embed.pipeline.opening import Folder, Where, open_reader
from pretrained_embed.progress import AnyProgress, listener
from pretrained_embed.sources import Source
from pretrained_embed.tools import examination
from pretrained_embed.tools.examination import Checkup


def examine(
    source: Source,
    *,
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    layout: AnyLayout = None,
    digest: bool = False,
    progress: AnyProgress = None,
) -> Checkup:
    """Read all of a source, and tell what it is and what is wrong with it.

    ``source`` and the other arguments are as in `open_vectors`; the source itself is
    read, never a store of it. Malformed rows are counted and described, as are tokens
    that are there twice (as bytes, in Unicode's normal form NFC, without the white
    space around them), are not UTF-8, empty, hold white space or cannot be seen;
    vectors with NaN or infinite numbers, or of zeros; a header that is false; and a
    file that was cut. Rows are numbered from 0, malformed ones left out.

    ``digest`` takes the SHA-256 of the local file, too: of the archive or compressed
    file, where it is in one.

    Raises `SourceError` where there is nothing to read, and `FormatError` where what
    there is cannot be opened at all.

    >>> print(examine("vectors.txt").problems)  # doctest: +SKIP
    ()
    """
    progress = listener(progress)
    where = Where(cache_dir, offline, catalog)
    opened = open_reader(source, where, progress, use_store=False, layout=layout)
    known = dict(opened.provenance)
    with opened.reader as reader:
        # Of what was fetched or comes in a package a digest is known already.
        if digest and (identity := opened.identity) and not identity.digests:
            for path in identity.files[:1]:
                known["sha256"] = sha256(path, progress=progress)
        return examination.examine(reader, known, progress)
