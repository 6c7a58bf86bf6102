"""A file that hosts publish, and what is left of it in a cache."""

import hashlib

import pytest

from pretrained_embed.library.catalog import Checksum, Entry

DATA = b"".join(b"token%d %d.5 -1e-3\n" % (i, i * 7919 % 1000) for i in range(20000))


def sha256(data: bytes, of: str = "file") -> Checksum:
    return Checksum("sha256", of, hashlib.sha256(data).hexdigest(), "the test")


OF_DATA = (sha256(DATA),)


def entry(host, *names, checksums=OF_DATA, **facts) -> Entry:
    urls = tuple(host.url + name for name in names or ("v.txt",))
    return Entry("vectors", urls, checksums=checksums, **facts)


def left(tmp_path) -> list[str]:
    """Return the names of all files in the cache but the tag and the locks."""
    return sorted(
        path.name
        for path in (tmp_path / "cache").rglob("*")
        if path.is_file() and path.name not in ("CACHEDIR.TAG", ".lock")
    )


def interrupted(host, get, wanted, at=100_000) -> None:
    """Leave a part of ``at`` bytes behind, as Ctrl-C does."""

    def progress(done, total):
        if done >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(wanted, progress=progress)
