"""Random numbers from a seed and a token, the same bits on any machine.

A token's key is a 64-bit BLAKE2b hash of its bytes, with the seed as key and the part
of the row as salt. The key starts a SplitMix64 sequence (Steele, Lea, Flood: Fast
splittable pseudorandom number generators, OOPSLA 2014), whose numbers are made normal
by inverting the distribution function (Wichura: Algorithm AS 241, Applied Statistics
37, 1988; error below 1e-15).

Only operations are used whose last bit IEEE 754 defines: no libm function, and no
generator of numpy, whose stream may change with its version.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pretrained_embed.arrays import Float64Array, UInt64Array
from pretrained_embed.errors import OptionError

_GAMMA = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LN2 = 0.6931471805599453


def check_seed(seed: int) -> None:
    """Raise `OptionError` unless the seed is an integer of 64 bits."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise OptionError(f"seed is {seed!r}; a whole number from 0 to 2**64 - 1")


def token_keys(tokens: Sequence[str], seed: int, part: int = 0) -> UInt64Array:
    """Return one 64-bit key for each token; keys of other parts are independent."""
    from hashlib import blake2b

    key, salt = seed.to_bytes(8, "little"), part.to_bytes(8, "little")
    digests = [
        blake2b(
            token.encode("utf-8", "surrogateescape"), digest_size=8, key=key, salt=salt
        ).digest()
        for token in tokens
    ]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def uniform(keys: UInt64Array, count: int) -> Float64Array:
    """Return (len(keys), count) numbers, uniform in the open interval from 0 to 1."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    bits = keys[:, None] + steps
    for shift, factor in _MIX:
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    # 52 bits: with 53 the half would be rounded away, and up to 1 for the largest
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normal(keys: UInt64Array, count: int) -> Float64Array:
    """Return (len(keys), count) standard normal numbers."""
    p = uniform(keys, count)
    q = p - 0.5
    out = q * _ratio(0.180625 - q * q, _CENTRE)
    tail = np.abs(q) > 0.425
    low = np.minimum(p[tail], 1.0 - p[tail])
    r = np.sqrt(-_log(low))
    value = np.where(r <= 5.0, _ratio(r - 1.6, _TAIL), _ratio(r - 5.0, _FAR_TAIL))
    out[tail] = np.where(q[tail] < 0.0, -value, value)
    return out


def _ratio(
    x: Float64Array, coefficients: tuple[list[float], list[float]]
) -> Float64Array:
    above, below = (np.full_like(x, c[-1]) for c in coefficients)
    for a, b in zip(coefficients[0][-2::-1], coefficients[1][-2::-1], strict=True):
        above = above * x + a
        below = below * x + b
    quotient: Float64Array = above / below
    return quotient


def _log(x: Float64Array) -> Float64Array:
    """Return the logarithm by ln(m 2**e) = e ln 2 + 2 artanh((m - 1) / (m + 1))."""
    m, e = np.frexp(x)
    small = m < 0.7071067811865476
    m, e = np.where(small, 2.0 * m, m), np.where(small, e - 1, e)
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    series = np.zeros_like(s)
    for k in range(25, 0, -2):  # |s| < 0.172: the rest is below 1e-20
        series = series * square + 1.0 / k
    return e * _LN2 + 2.0 * s * series


def _table(text: str) -> tuple[list[float], list[float]]:
    """Return the coefficients of a numerator and of a denominator, 8 each."""
    numbers = [*map(float, text.split())]
    return numbers[:8], numbers[8:]


# Those of AS 241 (PPND16) for |q| <= 0.425, r <= 5 and beyond.
_CENTRE = _table("""
    3.3871328727963666080e0 1.3314166789178437745e2 1.9715909503065514427e3
    1.3731693765509461125e4 4.5921953931549871457e4 6.7265770927008700853e4
    3.3430575583588128105e4 2.5090809287301226727e3
    1.0 4.2313330701600911252e1 6.8718700749205790830e2
    5.3941960214247511077e3 2.1213794301586595867e4 3.9307895800092710610e4
    2.8729085735721942674e4 5.2264952788528545610e3
""")
_TAIL = _table("""
    1.42343711074968357734e0 4.63033784615654529590e0 5.76949722146069140550e0
    3.64784832476320460504e0 1.27045825245236838258e0 2.41780725177450611770e-1
    2.27238449892691845833e-2 7.74545014278341407640e-4
    1.0 2.05319162663775882187e0 1.67638483018380384940e0
    6.89767334985100004550e-1 1.48103976427480074590e-1 1.51986665636164571966e-2
    5.47593808499534494600e-4 1.05075007164441684324e-9
""")
_FAR_TAIL = _table("""
    6.65790464350110377720e0 5.46378491116411436990e0 1.78482653991729133580e0
    2.96560571828504891230e-1 2.65321895265761230930e-2 1.24266094738807843860e-3
    2.71155556874348757815e-5 2.01033439929228813265e-7
    1.0 5.99832206555887937690e-1 1.36929880922735805310e-1
    1.48753612908506148525e-2 7.86869131145613259100e-4 1.84631831751005468180e-5
    1.42151175831644588870e-7 2.04426310338993978564e-15
""")
