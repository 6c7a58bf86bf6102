"""What a worker process does with an address."""

from __future__ import annotations

from hashlib import sha256

from pretrained_embed.sources import open_source


def digest(address: str) -> str:
    """Return the SHA-256 of the bytes there, and how they could be read."""
    stream = open_source(address)
    with stream.open() as file:
        return sha256(file.read()).hexdigest()
