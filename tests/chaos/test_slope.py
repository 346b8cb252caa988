"""The slope of a soak and its interval, against what was put in."""

import numpy as np
import pytest

from benchmarks.soak import judge, slope_of


def test_a_line_is_found() -> None:
    slope = slope_of(3.0 + 0.5 * np.arange(20.0, dtype=np.float64), 0.95)
    assert slope == pytest.approx((0.5, 0.5, 0.5))


def test_independent_noise_has_the_usual_interval() -> None:
    chance = np.random.default_rng(1)
    holds = [(s := slope_of(chance.normal(size=40), 0.95)).lower <= 0 <= s.upper for _ in range(500)]
    assert 0.88 <= np.mean(holds) <= 0.98


def test_noise_that_remembers_is_seldom_taken_for_a_slope() -> None:
    """A first-order autoregression, 0.6."""
    chance, holds = np.random.default_rng(2), list[bool]()
    for _ in range(500):
        noise = chance.normal(size=40)
        for at in range(1, 40):
            noise[at] += 0.6 * noise[at - 1]
        slope = slope_of(noise, 0.95)
        holds.append(slope.lower <= 0 <= slope.upper)
    assert np.mean(holds) > 0.75


def test_what_grows_is_found_after_the_warm_up() -> None:
    chance = np.random.default_rng(3)
    rounds = [
        {"resident mb": 100 + (30 if at < 5 else 60) + 2 * at + chance.normal(), "all processes": 7.0}
        for at in range(20)
    ]
    measures = judge(rounds)["measures"]
    assert not measures["resident mb"]["met"]
    assert measures["resident mb"]["value"] == pytest.approx(2, abs=0.3)
    assert measures["all processes"]["met"]
