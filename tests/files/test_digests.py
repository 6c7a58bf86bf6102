"""Digests of bytes."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.files import digests


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_crc_of_two_runs_is_known_from_that_of_each(one: bytes, two: bytes) -> None:
    joined = digests.crc32_joined(zlib.crc32(one), zlib.crc32(two), len(two))

    assert joined == zlib.crc32(one + two)
