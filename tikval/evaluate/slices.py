"""F1 in each genre and without it, so that genres are comparable; and how far F1 drops from endorsed to confronted.

Macro F1 rises with how frequent labels are, and where a genre has no video with a label the label is not in it: one
system with the same errors everywhere scores otherwise in each genre. So a genre's F1 is that which its hits and false
alarms would give at the prevalence of all videos, over the same labels in every genre: those with FEWEST_POSITIVES
positives in each. Saying everything then scores the same in all of them. Where one genre carries a system, its score
without that genre is what others may expect.

A genre is compared where it has accounts enough for an interval and, of such genres, at least half as many labels with
enough positives as the one with most of them: else one small genre would leave nothing to compare the others over. What
is not compared has a row that says why.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

import numpy as np

from tikval.evaluate.answer_counts import account_sizes, count_answers, known_parts, videos_with_result
from tikval.evaluate.answers import Answers, Truth
from tikval.evaluate.compare import METRICS
from tikval.rows import SliceRow
from tikval.stats.arrays import Bools, Floats
from tikval.stats.intervals import (
    AccountCounts,
    Estimate,
    Interval,
    average,
    common_f1_estimate,
    difference_of_parts,
    mean_f1_estimate,
)
from tikval.stats.limits import FEWEST_POSITIVES, why_no_interval

GENRE, WITHOUT, DIFFERENCE, DROP = "genre", "without_genre", "difference", "drop"
FROM_TO = "endorsed - confronted"
COMMON = "common_f1"
_NO_LABEL = f"no label has {FEWEST_POSITIVES} positives in every genre: nothing to compare over"


class GenreSet(NamedTuple):
    """What genres are compared over."""

    where: dict[str, Bools]  # [N] the videos of each
    why_not: dict[str, str]  # of those that are not compared
    use: Bools  # [L]


def slices(answers: Answers, truth: Truth, genres: Mapping[str, str | None]) -> list[SliceRow]:
    """Rows of one system; `genres` by video. Of genres there are none where all videos are of one."""
    if not truth.ids:
        return []
    return [*_drops(answers, truth), *_genres(answers, truth, genres)]


def genre_set(use_L: Bools, truth: Truth, genres: Mapping[str, str | None]) -> GenreSet:
    """The genres and, of the labels `use_L`, those that they are compared over."""
    genre_N = np.array([genres.get(video) or "" for video in truth.ids])
    names = sorted(set(genre_N.tolist()) - {""}) if len(set(genre_N.tolist())) > 1 else []
    where = {name: genre_N == name for name in names}
    enough = {name: use_L & _enough(truth.true[at_N]) for name, at_N in where.items()}
    few = {name: why_no_interval(account_sizes(at_N, truth)) for name, at_N in where.items()}
    most = max((int(enough[name].sum()) for name in names if few[name] is None), default=0)
    why_not = {name: none.replace("for an interval", "to compare") for name, none in few.items() if none}
    for name in names:
        own = int(enough[name].sum())
        if name not in why_not and (not own or 2 * own < most):
            why_not[name] = f"only {own} of its labels have {FEWEST_POSITIVES} positives: too few to compare"
    fixed_L = use_L.copy()
    for name in names:
        if name not in why_not:
            fixed_L &= enough[name] & _enough(truth.true[~where[name]])
    return GenreSet(where, why_not, fixed_L)


def _enough(true_nL: Bools) -> Bools:
    """[L] labels with positives enough, and with a video that lacks them: else there is no false alarm to count."""
    n_L = true_nL.sum(0)
    enough_L: Bools = (n_L >= FEWEST_POSITIVES) & (n_L < len(true_nL))
    return enough_L


def _drops(answers: Answers, truth: Truth) -> list[SliceRow]:
    use_L, sizes_G = answers.averaged(truth), account_sizes(videos_with_result(answers), truth)
    parts = [count_answers(run, at_N, truth) for run, at_N in known_parts(answers)]
    endorsed_L, confronted_L, _ = truth.masks

    def mean(mask_L: Bools, how: str) -> Estimate:
        over = [part.over(use_L & mask_L) for part in parts]
        return average([mean_f1_estimate(part, sizes_G, how) for part in over], sizes_G)

    rows: list[SliceRow] = []
    for metric, how in METRICS.items():
        drop = mean(endorsed_L, how).minus(mean(confronted_L, how))
        row = _row(answers.system, DROP, FROM_TO, metric, drop, drop.of_difference())
        rows.append({**row, **_over(use_L, truth)})
    return rows


def _genres(answers: Answers, truth: Truth, genres: Mapping[str, str | None]) -> list[SliceRow]:
    made = genre_set(answers.averaged(truth), truth, genres)
    prevalence_L = truth.true[:, made.use].mean(0)
    everything = float((2 * prevalence_L / (1 + prevalence_L)).mean()) if made.use.any() else None
    rows: list[SliceRow] = []
    for name, at_N in made.where.items():
        inside, outside = (_common(answers, truth, w_N, made.use, prevalence_L) for w_N in (at_N, ~at_N))
        why_not = made.why_not.get(name) or (None if made.use.any() else _NO_LABEL)
        gap = Estimate(outside.value - inside.value, inside.added, inside.sizes + outside.sizes)
        for by, estimate, found, baseline in (
            (GENRE, inside, inside.of_score(), everything),
            (WITHOUT, outside, outside.of_score(), everything),
            (DIFFERENCE, gap, difference_of_parts(outside, inside), None),
        ):
            if why_not:
                estimate, found, baseline = (
                    estimate._replace(value=np.nan),
                    Interval(None, None, why_not),
                    None,
                )
            row = _row(answers.system, by, name, COMMON, estimate, found)
            use_L = np.zeros_like(made.use) if why_not else made.use
            rows.append({**row, "baseline": baseline, **_over(use_L, truth)})
    return rows


def _common(answers: Answers, truth: Truth, where_N: Bools, use_L: Bools, prevalence_L: Floats) -> Estimate:
    """F1 at common prevalence in some videos: folds of a run pooled, runs averaged."""
    known_N = np.logical_or.reduce([run.known for run in answers.runs]) & where_N
    sizes_G = account_sizes(known_N, truth)
    parts = []
    for run in answers.runs:
        at_N = run.known & where_N
        counts: AccountCounts = count_answers(run, at_N, truth).over(use_L)
        parts.append(common_f1_estimate(counts, account_sizes(at_N, truth), prevalence_L, sizes_G))
    return average(parts, sizes_G)


class _Over(TypedDict):
    n_labels: int
    labels: list[str]


def _over(use_L: Bools, truth: Truth) -> _Over:
    """The columns on the labels that a value is over."""
    names = [label for label, use in zip(truth.labels, use_L, strict=True) if use]
    return {"n_labels": len(names), "labels": names}


def _row(system: str, by: str, name: str, metric: str, estimate: Estimate, found: Interval) -> SliceRow:
    return {
        "system": system,
        "by": by,
        "slice": name,
        "metric": metric,
        "value": None if np.isnan(estimate.value) else estimate.value,
        "lower": found.lower,
        "upper": found.upper,
        "why_none": found.why_none,
        "baseline": None,
        "n_labels": None,
        "labels": None,
        "n_videos": int(estimate.sizes.sum()),
        "n_groups": int((estimate.sizes > 0).sum()),
    }
