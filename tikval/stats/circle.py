"""Schwartz's circle: the four higher-order groups, their two axes, and on which side of it a system goes wrong.

The order around the circle is that of values.VALUES, which is that of the refined theory's list (Schwartz et al.
2012, "Refining the theory of basic individual values", Table 1 and Figure 1): what stands next to each other shares
motivation, universalism: tolerance stands next to self-direction: thought, and what stands across is in conflict. This
module is the only place that names the values of each group.

Shape letters: N videos, V = 19 values, L = 38 labels, M = 6 measures.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.limits import FEWEST_POSITIVES, effective_groups, why_no_interval
from tikval.stats.prevalence import ratio
from tikval.stats.student import t_critical
from tikval.values import CONFRONTED, ENDORSED, SLUGS

OPENNESS, ENHANCEMENT = "openness_to_change", "self_enhancement"
CONSERVATION, TRANSCENDENCE = "conservation", "self_transcendence"
_HALF: Final = 0.5  # of a value on the border of two groups: it shares the motivation of both

# By group the values and what each counts. Hedonism, face and humility stand on borders in the theory's figure.
GROUPS: Final = {
    OPENNESS: {
        "self_direction_thought": 1.0,
        "self_direction_action": 1.0,
        "stimulation": 1.0,
        "hedonism": _HALF,
    },
    ENHANCEMENT: {
        "hedonism": _HALF,
        "achievement": 1.0,
        "power_dominance": 1.0,
        "power_resources": 1.0,
        "face": _HALF,
    },
    CONSERVATION: {
        "face": _HALF,
        "security_personal": 1.0,
        "security_societal": 1.0,
        "tradition": 1.0,
        "conformity_rules": 1.0,
        "conformity_interpersonal": 1.0,
        "humility": _HALF,
    },
    TRANSCENDENCE: {
        "humility": _HALF,
        "benevolence_dependability": 1.0,
        "benevolence_caring": 1.0,
        "universalism_concern": 1.0,
        "universalism_nature": 1.0,
        "universalism_tolerance": 1.0,
    },
}
AXES: Final = {
    f"{OPENNESS} - {CONSERVATION}": (OPENNESS, CONSERVATION),
    f"{TRANSCENDENCE} - {ENHANCEMENT}": (TRANSCENDENCE, ENHANCEMENT),
}
MEASURES: Final = (*GROUPS, *AXES)
REACH: Final = np.array(
    [1.0] * len(GROUPS) + [2.0] * len(AXES)
)  # [M] no measure lies outside -reach to reach

NEIGHBOUR_STEPS: Final = (1, 2)  # around the circle: four values
OPPOSITE_STEPS: Final = (8, 9)  # of 9 at most: the four values across

OTHER_STANCE, NONE_TRUE, NEIGHBOUR, OPPOSITE, ELSEWHERE = KINDS = (
    "same value, other stance",
    "no true value of this stance",
    "neighbour of a true value",
    "opposite of a true value",
    "elsewhere",
)


def weights() -> Floats:
    """[L, M]: labels as 0 and 1, or shares of a corpus, times this are the measures.

    A group's score is the mean over its values, border values counted half, of endorsed less confronted: -1 to 1. An
    axis is the difference of its two groups.
    """
    group_VG = np.array([[GROUPS[group].get(slug, 0.0) for group in GROUPS] for slug in SLUGS])
    group_VG /= group_VG.sum(0)
    names = list(GROUPS)
    axes = [group_VG[:, names.index(high)] - group_VG[:, names.index(low)] for high, low in AXES.values()]
    measures_VM = np.column_stack([group_VG, *axes])
    return np.concatenate([measures_VM, -measures_VM])


def steps() -> Ints:
    """[V, V]: places between two values on the circle, the shorter way round: 0 to 9. Takes them as equally spaced."""
    place = np.arange(len(SLUGS))
    apart: Ints = np.abs(place[:, None] - place)
    shorter: Ints = np.minimum(apart, len(SLUGS) - apart)
    return shorter


@dataclass(frozen=True, slots=True)
class Confusion:
    """False alarms of one stance and kind, beside what chance would give."""

    stance: str
    kind: str
    observed: int
    expected: float
    ratio: float  # observed / expected; nan where nothing is expected
    low: float  # 95 % interval by accounts; nan where there is too little for one
    high: float


def confusions(truth_NL: Bools, predicted_NL: Bools, cluster_N: Ints) -> list[Confusion]:
    """Where on the circle the false alarms lie, seen from the values that are true of the same video and stance.

    A false alarm is of the first kind of KINDS that fits. Chance: the same number of false alarms in the same video,
    their values drawn from those that are not true of it, as often as the system falsely predicts each in all videos.
    So neither how often a system predicts a value nor how many values a video has makes a difference from 1.
    """
    if truth_NL.shape != predicted_NL.shape or truth_NL.shape[1:] != (2 * len(SLUGS),):
        raise ValueError(
            f"truth is {truth_NL.shape}, predicted is {predicted_NL.shape}: both must be [videos, 38]"
        )
    half = len(SLUGS)
    truth, predicted = (
        (truth_NL[:, :half], truth_NL[:, half:]),
        (predicted_NL[:, :half], predicted_NL[:, half:]),
    )
    n_clusters = int(cluster_N.max()) + 1 if len(cluster_N) else 0
    found = []
    for s, stance in enumerate((ENDORSED, CONFRONTED)):
        kind_NV = _kinds(truth[s], truth[1 - s])
        false_NV = predicted[s] & ~truth[s]
        chance_NV = ~truth[s] * false_NV.sum(0)  # not yet summing to 1
        whole_N = np.maximum(chance_NV.sum(1), 1)  # 0 only where there is no false alarm
        for k, kind in enumerate(KINDS):
            observed_N = (false_NV & (kind_NV == k)).sum(1)
            expected_N = false_NV.sum(1) * (chance_NV * (kind_NV == k)).sum(1) / whole_N
            by_cluster = [np.bincount(cluster_N, each, n_clusters) for each in (observed_N, expected_N)]
            times, low, high = _times(*(each.astype(np.float64) for each in by_cluster))
            found.append(
                Confusion(stance, kind, int(observed_N.sum()), float(expected_N.sum()), times, low, high)
            )
    return found


def _kinds(truth_NV: Bools, other_NV: Bools) -> NDArray[np.int8]:
    """[N, V]: the kind that a false alarm would be, as its place in KINDS."""
    true_NV = truth_NV.astype(np.int64)
    near_NV = true_NV @ np.isin(steps(), NEIGHBOUR_STEPS) > 0
    far_NV = true_NV @ np.isin(steps(), OPPOSITE_STEPS) > 0
    none_NV = np.broadcast_to(~truth_NV.any(1, keepdims=True), truth_NV.shape)
    order = [other_NV, none_NV, near_NV, far_NV]
    return np.select(order, list(range(len(order))), len(order)).astype(np.int8)


def _times(observed_C: Floats, expected_C: Floats) -> tuple[float, float, float]:
    """Observed over expected, and its interval: on a log scale, with a jackknife over clusters.

    nan where neither comes to 5: a ratio of one or two to what chance would give tells nothing.
    """
    nan = float("nan")
    if max(observed_C.sum(), expected_C.sum()) < FEWEST_POSITIVES:
        return nan, nan, nan
    estimates, errors = ratio(observed_C[:, None], expected_C)
    times, error = float(estimates[0]), float(errors[0])
    few = (expected_C > 0).sum() < 10 or observed_C.sum() < 10 or why_no_interval(expected_C) is not None
    if few or not times > 0 or not error > 0:
        return times, nan, nan
    spread = float(np.exp(t_critical(effective_groups(expected_C) - 1) * error / times))
    return times, times / spread, times * spread
