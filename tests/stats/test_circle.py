"""The circle: groups, axes, and where false alarms lie on it."""

import numpy as np
import pytest

from tikval.stats.arrays import Bools
from tikval.stats.circle import (
    AXES,
    ELSEWHERE,
    GROUPS,
    MEASURES,
    NEIGHBOUR,
    NONE_TRUE,
    OPPOSITE,
    OTHER_STANCE,
    Confusion,
    confusions,
    steps,
    weights,
)
from tikval.values import CONFRONTED, ENDORSED, LABELS, SLUGS


def test_every_value_counts_once_in_all_groups_together() -> None:
    assert set(SLUGS) == {slug for group in GROUPS.values() for slug in group}
    for slug in SLUGS:
        assert sum(group.get(slug, 0) for group in GROUPS.values()) == 1
    borders = {slug for group in GROUPS.values() for slug, share in group.items() if share < 1}
    assert borders == {"hedonism", "face", "humility"}


def test_groups_are_arcs_in_order() -> None:
    """Each group is a stretch of the circle, and the groups follow each other, opposite ones across."""
    for group in GROUPS.values():
        places = [SLUGS.index(slug) for slug in group]
        assert places == list(range(places[0], places[0] + len(places)))
    names = list(GROUPS)
    for high, low in AXES.values():
        assert abs(names.index(high) - names.index(low)) == 2


def test_steps_around_the_circle() -> None:
    apart = steps()
    assert (apart == apart.T).all()
    assert sorted(apart[0]) == sorted([0, *range(1, 10), *range(1, 10)])
    assert apart[SLUGS.index("universalism_tolerance"), SLUGS.index("self_direction_thought")] == 1


def measured(*labels: str) -> dict[str, float]:
    video = np.array([label in labels for label in LABELS], float)
    return dict(zip(MEASURES, video @ weights(), strict=True))


def test_scores_of_a_video() -> None:
    assert set(measured().values()) == {0.0}
    one = measured("stimulation+")
    assert one["openness_to_change"] == pytest.approx(1 / 3.5)
    assert one["openness_to_change - conservation"] == pytest.approx(1 / 3.5)
    assert one["self_transcendence - self_enhancement"] == 0
    against = measured("tradition-")
    assert against["conservation"] == pytest.approx(-1 / 6)
    assert against["openness_to_change - conservation"] == pytest.approx(1 / 6)
    border = measured("face+")
    assert border["conservation"] == pytest.approx(0.5 / 6)
    assert border["self_enhancement"] == pytest.approx(0.5 / 4)
    most = measured(*(f"{slug}+" for slug in GROUPS["self_transcendence"]))
    assert most["self_transcendence"] == pytest.approx(1)


def video(*labels: str) -> list[bool]:
    return [label in labels for label in LABELS]


def counts(truth: list[list[bool]], predicted: list[list[bool]]) -> dict[tuple[str, str], Confusion]:
    found = confusions(np.array(truth), np.array(predicted), np.arange(len(truth)))
    return {(each.stance, each.kind): each for each in found}


def test_kinds_of_false_alarms() -> None:
    # true: achievement, place 4; its neighbours are places 2, 3, 5 and 6, its opposites 12 to 15
    truth = video("achievement+", "humility-")
    predicted = video(
        "achievement+", "stimulation+", "power_resources+", "benevolence_caring+", "humility+", "tradition+"
    )
    found = counts([truth, video()], [predicted, video("face+", "face-")])
    numbers = {
        kind: found[ENDORSED, kind].observed
        for kind in (NEIGHBOUR, OPPOSITE, ELSEWHERE, OTHER_STANCE, NONE_TRUE)
    }
    assert numbers == {
        NEIGHBOUR: 2,
        OPPOSITE: 1,  # benevolence: caring is place 15
        ELSEWHERE: 1,
        OTHER_STANCE: 1,  # before it is looked for across the circle
        NONE_TRUE: 1,
    }
    assert found[CONFRONTED, NONE_TRUE].observed == 1
    for stance in (ENDORSED, CONFRONTED):
        both = [each for (of, _), each in found.items() if of == stance]
        assert sum(each.expected for each in both) == pytest.approx(sum(each.observed for each in both))


def drawn(seed: int, near: float) -> tuple[Bools, Bools]:
    """600 videos with one endorsed value, and one false alarm: next to it with a chance of `near`, else anywhere."""
    rng = np.random.default_rng(seed)
    often = rng.dirichlet(np.full(19, 2.0))
    truth, predicted = np.zeros((600, 38), bool), np.zeros((600, 38), bool)
    for n in range(600):
        value = rng.choice(19, p=often)
        alarm = (value + rng.choice([-2, -1, 1, 2])) % 19 if rng.random() < near else rng.choice(19, p=often)
        truth[n, value] = True
        predicted[n, alarm] = alarm != value
    return truth, predicted


def test_chance_gives_one_and_confusion_more() -> None:
    accounts = np.repeat(np.arange(60), 10)
    hits = []
    for seed in range(40):
        found = {each.kind: each for each in confusions(*drawn(seed, 0), accounts) if each.stance == ENDORSED}
        hits += [each.low <= 1 <= each.high for kind, each in found.items() if kind in (NEIGHBOUR, OPPOSITE)]
    assert 0.9 <= np.mean(hits) <= 1
    found = {each.kind: each for each in confusions(*drawn(0, 0.5), accounts) if each.stance == ENDORSED}
    assert found[NEIGHBOUR].low > 1.5
    assert found[OPPOSITE].high < 1


def test_no_false_alarms_and_too_few() -> None:
    none = counts([video("face+")] * 3, [video("face+")] * 3)
    assert {each.observed for each in none.values()} == {0}
    assert all(np.isnan(each.ratio) and np.isnan(each.low) for each in none.values())
    few = counts([video("face+")] * 3, [video("achievement+")] * 3)
    assert few[ENDORSED, ELSEWHERE].observed == 3
    assert np.isnan(few[ENDORSED, ELSEWHERE].low)


def test_other_values_have_no_circle() -> None:
    with pytest.raises(ValueError, match="both must be"):
        confusions(np.zeros((3, 4), bool), np.zeros((3, 4), bool), np.zeros(3, int))
