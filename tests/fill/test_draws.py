from __future__ import annotations

from hashlib import blake2b, sha256
from statistics import NormalDist

import numpy as np
import pytest

from pretrained_embed.errors import OptionError
from pretrained_embed.fill import draws

TOKENS = ["the", "", "\u00a0", "\udcff", "new york", "é"]
MASK = 2**64 - 1

#: Of the tokens and seed 42. Every matrix built so far has rows made of such numbers:
#: a change of them is a change that every user sees.
KEYS = [
    "16a449d030363af8",
    "79be0bd5d6508068",
    "5124d1a4c0be8bce",
    "2bd5a191a9891190",
    "f56329002e0ad061",
    "98383e17c2201a10",
]
NORMAL = ["0x1.fbd58c8ffe876p-4", "-0x1.4688c30e72d76p-6", "-0x1.6047799ba16fbp-1"]
DIGEST = "d7a01efcdc0011f738c7ab63e699abae141ae82d74051a8d670edc3522802a7d"

#: What SplitMix64 turns into these bits (its steps can be undone).
UNMIXED = {0: 0, MASK: 0xCF9A04AFFA6BADC0}


def split_mix(state: int) -> int:
    """SplitMix64 as its authors give it, in whole numbers of Python."""
    z = state & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_uniform_numbers_are_split_mix_of_a_keyed_hash():
    numbers = draws.uniform(draws.token_keys(TOKENS, 7), 5)

    for token, row in zip(TOKENS, numbers.tolist(), strict=True):
        raw = token.encode("utf-8", "surrogateescape")
        digest = blake2b(raw, digest_size=8, key=(7).to_bytes(8, "little")).digest()
        key = int.from_bytes(digest, "little")
        expected = [split_mix(key + step * 0x9E3779B97F4A7C15) for step in range(1, 6)]
        assert row == [((bits >> 12) + 0.5) / 2**52 for bits in expected]


def test_the_published_sequence_of_split_mix():
    # The first numbers from seed 0 of the reference implementation by S. Vigna.
    numbers = draws.uniform(np.zeros(1, np.uint64), 3)[0] * 2**52 - 0.5

    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert numbers.tolist() == [bits >> 12 for bits in published]


@pytest.mark.parametrize(("bits", "p"), [(0, 2**-53), (MASK, 1 - 2**-53)])
def test_the_ends_are_open(bits, p):
    state = UNMIXED[bits] - 0x9E3779B97F4A7C15

    key = np.array([state & MASK], np.uint64)

    assert draws.uniform(key, 1).tolist() == [[p]]
    assert np.isfinite(draws.normal(key, 1)).all()


def test_normal_numbers_are_the_inverse_distribution_of_uniform_ones():
    keys = draws.token_keys([f"w{number}" for number in range(200)], 0)

    uniform, normal = draws.uniform(keys, 50), draws.normal(keys, 50)

    expected = [[NormalDist().inv_cdf(p) for p in row] for row in uniform.tolist()]
    np.testing.assert_allclose(normal, expected, rtol=1e-13, atol=1e-15)


def test_the_far_tails_are_right(monkeypatch):
    p = [2.0**-53, 1e-15, 1e-9, 0.0749, 0.075, 0.5, 0.925, 0.9251, 1 - 2.0**-53]
    monkeypatch.setattr(draws, "uniform", lambda keys, count: np.array([p]))

    normal = draws.normal(np.zeros(1, np.uint64), len(p))

    expected = [[NormalDist().inv_cdf(value) for value in p]]
    np.testing.assert_allclose(normal, expected, rtol=1e-13, atol=1e-15)


def test_the_logarithm_needs_no_library():
    x = np.concatenate([np.geomspace(2.0**-53, 0.5, 10_001), [0.5, 0.25, 0.7071]])

    np.testing.assert_allclose(draws._log(x), np.log(x), rtol=1e-15)


def test_draws_have_the_moments_of_their_distributions():
    keys = draws.token_keys([f"w{number}" for number in range(1_000)], 1)

    uniform, normal = draws.uniform(keys, 100), draws.normal(keys, 100)

    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01
    assert abs(uniform.mean() - 0.5) < 0.003
    assert 0 < uniform.min() < uniform.max() < 1
    assert abs(np.corrcoef(normal[:, 0], normal[:, 1])[0, 1]) < 0.1
    assert len(np.unique(normal)) == normal.size


def test_draws_never_change():
    keys = draws.token_keys(TOKENS, 42)

    assert [f"{key:016x}" for key in keys.tolist()] == KEYS
    assert [value.hex() for value in draws.normal(keys[:1], 3)[0].tolist()] == NORMAL
    many = draws.normal(draws.token_keys([str(n) for n in range(500)], 42), 300)
    assert sha256(many.astype("<f8").tobytes()).hexdigest() == DIGEST


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "0", None, True])
def test_a_seed_is_a_whole_number_of_64_bits(seed):
    with pytest.raises(OptionError, match="seed is"):
        draws.check_seed(seed)


def test_every_seed_gives_other_numbers():
    keys = [draws.token_keys(["the"], seed)[0] for seed in (0, 1, 2**63, 2**64 - 1)]

    assert len(set(keys)) == 4
    for seed in (0, 2**64 - 1):
        draws.check_seed(seed)
