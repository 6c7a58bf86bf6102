"""n-grams and hashes of many tokens at once, against one at a time in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.formats.subwords.ngrams import Ngrams, murmur2, murmur3

TOKENS = st.lists(
    st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=12)
    | st.text("aé漢<>", max_size=40).map(str.encode),
    max_size=6,
)
SIZES = st.integers(-1, 7)


def plain_ngrams(
    token: bytes, low: int, high: int, *, edges: bool, marks: tuple[bytes, bytes]
) -> list[bytes]:
    """Return the n-grams of one token, as the loops of fastText make them."""
    word = marks[0] + token + marks[1]
    found = []
    for start in range(len(word)):
        if word[start] & 0xC0 == 0x80:
            continue
        end, n = start, 1
        while end < len(word) and n <= high:
            end += 1
            while end < len(word) and word[end] & 0xC0 == 0x80:
                end += 1
            alone = n == 1 and (start == 0 or end == len(word))
            if n >= low and (edges or not alone):
                found.append(word[start:end])
            n += 1
    return found


def plain_fnv1a(ngram: bytes) -> int:
    state = 2166136261
    for byte in ngram:
        signed = byte - 256 if byte > 127 else byte
        state = (state ^ signed % 2**32) * 16777619 % 2**32
    return state


@given(TOKENS, SIZES, SIZES, st.booleans(), st.sampled_from(["<>", "é>", "^$"]))
def test_n_grams_are_those_of_each_token_in_order(tokens, low, high, edges, letters):
    marks = letters[0].encode(), letters[1].encode()
    expected = [
        plain_ngrams(token, low, high, edges=edges, marks=marks) for token in tokens
    ]

    ngrams = Ngrams(PackedTokens.join(tokens), low, high, marks=marks, edges=edges)
    data, starts, ends = ngrams.spans()

    flat = [ngram for of_token in expected for ngram in of_token]
    raw, places = data.tobytes(), zip(starts.tolist(), ends.tolist(), strict=True)
    assert [raw[start:end] for start, end in places] == flat
    assert ngrams.counts.tolist() == [len(of_token) for of_token in expected]
    assert ngrams.fnv1a().tolist() == [plain_fnv1a(ngram) for ngram in flat]


def test_the_plain_hash_is_fnv1a_where_no_byte_is_negative():
    assert plain_fnv1a(b"foobar") == 0xBF9CF968


@pytest.mark.parametrize(
    ("run", "seed", "digest"),
    [
        (b"", 0, "00000000000000000000000000000000"),
        (b"hello", 0, "029bbd41b3a7d8cb191dae486a901e5b"),
        (b"hello, world", 0, "8ebc5e3a62ac2f344d41429607bcdc4c"),
        (b"a" * 16, 0, "cea6aa620d18c1f24239b22b03f3f66a"),
        (
            b"The quick brown fox jumps over the lazy dog",
            0,
            "6c1b07bc7bbc4be347939ac4a93c437a",
        ),
    ],
)
def test_murmur3_gives_known_digests(run, seed, digest):
    data = np.frombuffer(run, np.uint8)

    (halves,) = murmur3(data, np.array([0]), np.array([len(run)]), seed)

    assert halves.astype("<u8").tobytes().hex() == digest


def test_murmur2_gives_the_keys_of_spacy():
    keys = {
        "coffee": 3197928453018144401,
        "I": 4690420944186131903,
        "love": 3702023516439754181,
        "a" * 8: 7726586943028375376,
        "naïve café": 9646334175591888092,
    }
    packed = PackedTokens.pack(keys)

    found = murmur2(packed.data, packed.offsets[:-1], packed.offsets[1:], 1)

    assert found.tolist() == list(keys.values())


@given(TOKENS)
def test_runs_are_hashed_together_as_they_are_alone(tokens):
    packed = PackedTokens.join(tokens)
    starts, ends = packed.offsets[:-1], packed.offsets[1:]

    for hash_all in (murmur2, murmur3):
        together = hash_all(packed.data, starts, ends, 7)
        for place, token in enumerate(tokens):
            alone = np.frombuffer(token, np.uint8)
            one = hash_all(alone, np.array([0]), np.array([len(token)]), 7)
            assert one[0].tolist() == together[place].tolist()
