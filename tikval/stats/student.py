"""Student's t, F and shares with any degrees of freedom: accounts of unlike size are worth no whole number."""

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Final

_LEVEL: Final = 0.95
_TINY: Final = 1e-300


def t_two_sided(t: float, degrees: float) -> float:
    """The probability that |T| is at least |t|."""
    return 1.0 if t == 0 else incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


@lru_cache(maxsize=4096)
def t_critical(degrees: float, p: float = 1 - _LEVEL) -> float:
    """The t that |T| exceeds with probability `p`: `t_two_sided` turned round; infinite without a degree."""
    if degrees <= 0:
        return math.inf
    low, high = 0.0, math.inf  # of t
    t = _near(degrees, p)
    for _ in range(200):
        off = t_two_sided(t, degrees) - p
        low, high = (t, high) if off > 0 else (low, t)
        step = t + off / (2 * _density(t, degrees))  # Newton's; outside the ends, halve or double
        new = step if low < step < high else (low + high) / 2 if high < math.inf else 2 * t
        if abs(new - t) <= 1e-14 * new:
            break
        t = new
    return new


def f_above(f: float, above: float, below: float) -> float:
    """The probability that an F of so many degrees, above and below the line, is at least `f`."""
    return incomplete_beta(below / (below + above * f), below / 2, above / 2) if f > 0 else 1.0


def few_errors(errors: float, trials: float, rate: float) -> float:
    """The probability of at most so many errors (any real number) where each trial is one with chance `rate`.

    Where it is `p` at its smallest, that rate is the upper bound of Clopper and Pearson (1934) at level 1 - `p`.
    """
    return 1.0 if errors >= trials else incomplete_beta(1 - rate, trials - errors, errors + 1)


def most_errors(errors: float, trials: float, p: float) -> float:
    """The highest error rate at which so few errors have probability `p`: `few_errors` turned round."""
    if errors >= trials:
        return 1.0
    a, b = errors + 1, trials - errors
    norm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    low, high = 0.0, 1.0
    rate = min(0.5 + 0.5 * errors / trials, (errors + 2 + 2 * math.sqrt(errors + 1)) / trials)
    for _ in range(100):
        off = few_errors(errors, trials, rate) - p
        low, high = (rate, high) if off > 0 else (low, rate)
        density = math.exp(norm + (a - 1) * math.log(rate) + (b - 1) * math.log1p(-rate))
        step = rate + off / max(density, _TINY)  # Newton's; outside the ends, halve
        new = step if low < step < high else (low + high) / 2
        if abs(new - rate) <= 1e-9:
            return new
        rate = new
    return rate


def _near(degrees: float, p: float) -> float:
    """Where to begin: the normal's, widened for few degrees (the first terms of Cornish and Fisher)."""
    z = NormalDist().inv_cdf(1 - p / 2)
    return z + (z**3 + z) / (4 * max(degrees, 1.0))


def _density(t: float, degrees: float) -> float:
    norm = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.log(degrees * math.pi) / 2
    return max(math.exp(norm - (degrees + 1) / 2 * math.log1p(t * t / degrees)), _TINY)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised I_x(a, b) by the continued fraction of Abramowitz and Stegun 26.5.8 (modified Lentz); a, b > 0."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
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
