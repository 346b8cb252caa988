"""Student's t with any degrees of freedom: no whole number of accounts is worth what accounts of unlike size are."""

import math
from functools import lru_cache
from typing import Final

_LEVEL: Final = 0.95
_TINY: Final = 1e-300


def t_two_sided(t: float, degrees: float) -> float:
    """The probability that |T| is at least |t|."""
    return 1.0 if t == 0 else _incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


@lru_cache(maxsize=4096)
def t_critical(degrees: float, p: float = 1 - _LEVEL) -> float:
    """The t that |T| exceeds with probability `p`: `t_two_sided` turned round; infinite without a degree."""
    if degrees <= 0:
        return math.inf
    low, high = 0.0, 1.0  # of degrees / (degrees + t²)
    while high - low > 1e-15 * high and high > _TINY:
        middle = (low + high) / 2
        if _incomplete_beta(middle, degrees / 2, 0.5) > p:
            high = middle
        else:
            low = middle
    return math.sqrt(degrees * (1 - high) / high) if high > _TINY else math.inf


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised I_x(a, b), by the continued fraction of Abramowitz and Stegun 26.5.8 (modified Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    total, c, d = 1.0, 1.0, 0.0
    for i in range(100_000):
        m = i // 2
        if i == 0:
            term = 1.0
        elif i % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_zero(1 + term * d)
        c = _away_from_zero(1 + term / c)
        total *= c * d
        if i and abs(c * d - 1) < 1e-15:
            break
    return front * (total - 1) / a


def _away_from_zero(x: float) -> float:
    return x if abs(x) > _TINY else _TINY
