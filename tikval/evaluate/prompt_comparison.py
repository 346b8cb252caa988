"""Two prompts on the development sample, and one prompt there against the videos that were held out.

A difference is paired over the videos that both judged, and its interval and p are of one t over accounts, as those of
all scores. Beside the macro F1 stands the micro F1, over all pairs of a video and a label: few labels have positives
enough for a mean in a sample that is small enough to be looked at.

N annotated videos, L labels.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from tikval.evaluate.answer_counts import account_sizes, count_answers
from tikval.evaluate.answers import Answers, Truth, read_answers
from tikval.evaluate.scores import coverage
from tikval.stats.agreement import Coefficient, agreement_of
from tikval.stats.arrays import Bools
from tikval.stats.intervals import (
    AccountCounts,
    Estimate,
    Interval,
    difference_of_parts,
    mean_f1_estimate,
    ratio_estimate,
)
from tikval.stats.limits import FEWEST_ACCOUNTS_OF_LABEL, FEWEST_POSITIVES, counted
from tikval.stats.student import t_critical

METRICS: Final = ("macro F1", "micro F1")
AGREEMENTS: Final = ("observed", "ac1", "alpha")


class PromptScore(NamedTuple):
    """One number of A and B, and A - B; None where there is none."""

    metric: str
    a: float | None
    b: float | None
    interval_a: Interval
    interval_b: Interval
    difference: float | None
    interval: Interval  # of the difference
    smallest: float | None  # difference that the interval could tell from none; None: it can tell nothing


class LabelHits(NamedTuple):
    label: str
    positives: int
    hits: tuple[int, int]  # of A and B
    false_alarms: tuple[int, int]


class DifferentVideo(NamedTuple):
    """A video that the prompts judged differently, by the labels that one of them gave."""

    video_id: str
    only_a: tuple[tuple[str, bool], ...]  # labels, and whether they are right
    only_b: tuple[tuple[str, bool], ...]


class PromptCost(NamedTuple):
    """What the development sample cost, over all stages of a prompt."""

    tokens_in: int
    tokens_out: int
    usd: float
    videos: int
    failures: dict[str, int]  # by reason

    @property
    def usd_per_thousand(self) -> float:
        return 1_000 * self.usd / self.videos if self.videos else math.nan


@dataclass(frozen=True)
class PromptComparison:
    names: tuple[str, str]
    n_videos: int  # that both judged
    n_accounts: int
    averaged: tuple[str, ...]  # labels of the macro F1
    scores: tuple[PromptScore, ...]
    labels: tuple[LabelHits, ...]  # those that are true, or predicted by one
    videos: tuple[DifferentVideo, ...]
    agreement: dict[str, dict[str, Coefficient]]  # "A and B", "A and the annotator", ...: by AGREEMENTS
    costs: tuple[PromptCost, PromptCost]

    @property
    def found(self) -> str:
        """The result in one line."""
        return "; ".join(f"{one.metric}: {in_words(one.difference, one.interval)}" for one in self.scores)

    @property
    def power(self) -> str:
        """What a sample of this size can tell at all."""
        sample = f"{counted(self.n_videos, 'video')} of {counted(self.n_accounts, 'account')}"
        told = [f"{one.smallest:.2f} in {one.metric}" for one in self.scores if one.smallest is not None]
        if not told:
            reasons = {one.interval.why_none for one in self.scores if one.interval.why_none}
            return f"{sample} cannot tell these prompts apart: {'; '.join(sorted(reasons))}"
        return f"{sample} cannot tell apart less than {' or '.join(told)}"


class HeldOutDrop(NamedTuple):
    metric: str
    development: float | None
    held_out: float | None
    interval: Interval  # of held_out
    drop: float | None  # development - held_out
    drop_interval: Interval


@dataclass(frozen=True)
class HeldOutCheck:
    """One prompt where it was chosen, and on the accounts that it was not chosen on."""

    name: str
    videos: tuple[int, int]  # with a result: development, held out
    accounts: tuple[int, int]
    averaged: tuple[str, ...]  # labels of the macro F1: those with positives enough in both parts
    scores: tuple[HeldOutDrop, ...]

    @property
    def verdict(self) -> str:
        """Whether the prompt was over-tuned, as far as these videos tell."""
        told = [one for one in self.scores if one.drop_interval.lower is not None]
        over = [one for one in told if (one.drop_interval.lower or 0) > 0]
        if over:
            return (
                f"over-tuned: it scores higher where it was chosen ({', '.join(one.metric for one in over)})"
            )
        if not told:
            reasons = sorted(
                {one.drop_interval.why_none for one in self.scores if one.drop_interval.why_none}
            )
            return f"whether it was over-tuned cannot be told: {'; '.join(reasons)}"
        most = ", ".join(f"{max(0.0, one.drop_interval.upper or 0):.2f} in {one.metric}" for one in told)
        return f"no over-tuning is seen; a drop of up to {most} is not ruled out"

    @property
    def found(self) -> str:
        parts = [f"{one.metric}: {in_words(one.drop, one.drop_interval)}" for one in self.scores]
        return f"drop in {'; '.join(parts)}; {self.verdict}"


def in_words(value: float | None, interval: Interval) -> str:
    """`+0.12 [-0.03, 0.27], p 0.100`, or why there is no interval."""
    if value is None:
        return "no number"
    if interval.lower is None or interval.upper is None:
        return f"{value:+.2f} ({interval.why_none})"
    p = "" if interval.p is None else f", p {'< 0.001' if interval.p < 0.001 else f'{interval.p:.3f}'}"
    return f"{value:+.2f} [{interval.lower:+.2f}, {interval.upper:+.2f}]{p}"


def cost_of(rows: Sequence[Any], steps_before: Sequence[Any], ids: Sequence[str]) -> PromptCost:
    """The costs of a system's `rows` and of the rows of the stages before it; failures are those of `rows`."""
    every = [*rows, *steps_before]

    def total(name: str) -> float:
        return sum(row.get(name) or 0 for row in every)

    made = coverage(rows, ids)
    tokens_in, tokens_out = int(total("tokens_in")), int(total("tokens_out"))
    return PromptCost(tokens_in, tokens_out, total("cost_usd"), len(rows), made.failures)


def compare_prompts(
    names: tuple[str, str],
    rows: tuple[Sequence[Any], Sequence[Any]],
    truth: Truth,
    costs: tuple[PromptCost, PromptCost],
) -> PromptComparison:
    """A and B, by their PredictionRows, on the videos of `truth` that both judged.

    Raises ValueError as read_answers.
    """
    a, b = (read_answers(each, truth, name) for name, each in zip(names, rows, strict=True))
    both_N = a.runs[0].known & b.runs[0].known
    known_L = a.modelled & b.modelled
    use_L = known_L & truth.frequent
    counts = tuple(count_answers(one.runs[0], both_N, truth).over(known_L) for one in (a, b))
    labels = [label for label, known in zip(truth.labels, known_L, strict=True) if known]
    return PromptComparison(
        names,
        int(both_N.sum()),
        int((account_sizes(both_N, truth) > 0).sum()),
        tuple(label for label, used in zip(truth.labels, use_L, strict=True) if used),
        tuple(_prompt_score(metric, a, b, both_N, known_L, use_L, truth) for metric in METRICS),
        tuple(_label_hits(labels, *counts)),
        tuple(_different(a, b, both_N, known_L, truth)),
        _agreement(names, a, b, both_N, known_L, truth),
        costs,
    )


def _f1(metric: str, answers: Answers, at_N: Bools, known_L: Bools, use_L: Bools, truth: Truth) -> Estimate:
    counts, sizes_G = count_answers(answers.runs[0], at_N, truth), account_sizes(at_N, truth)
    if metric == "macro F1":
        return mean_f1_estimate(counts.over(use_L), sizes_G, "macro")
    hits, predicted, support = (column[:, known_L].sum(1) for column in counts)
    return ratio_estimate(hits, (predicted + support) / 2, sizes_G)


def _prompt_score(
    metric: str, a: Answers, b: Answers, both_N: Bools, known_L: Bools, use_L: Bools, truth: Truth
) -> PromptScore:
    ours, theirs = (_f1(metric, one, both_N, known_L, use_L, truth) for one in (a, b))
    difference = ours.minus(theirs)
    interval = difference.of_difference()
    smallest = None if interval.lower is None else t_critical(difference.degrees) * difference.error
    values = (_number(each.value) for each in (ours, theirs, difference))
    value_a, value_b, value = values
    return PromptScore(
        metric, value_a, value_b, ours.of_score(), theirs.of_score(), value, interval, smallest
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _label_hits(labels: Sequence[str], a: AccountCounts, b: AccountCounts) -> list[LabelHits]:
    lines = []
    for i, label in enumerate(labels):
        positives = int(a.support[:, i].sum())
        hits = int(a.hits[:, i].sum()), int(b.hits[:, i].sum())
        predicted = int(a.predicted[:, i].sum()), int(b.predicted[:, i].sum())
        if positives or any(predicted):
            lines.append(LabelHits(label, positives, hits, (predicted[0] - hits[0], predicted[1] - hits[1])))
    return sorted(lines, key=lambda line: -line.positives)


def _different(a: Answers, b: Answers, both_N: Bools, known_L: Bools, truth: Truth) -> list[DifferentVideo]:
    found = []
    one_NL, other_NL = (each.runs[0].predicted & known_L for each in (a, b))

    def labels_of(n: int, only_L: Bools) -> tuple[tuple[str, bool], ...]:
        return tuple((truth.labels[i], bool(truth.true[n, i])) for i in np.flatnonzero(only_L))

    for n in np.flatnonzero(both_N & (one_NL != other_NL).any(1)):
        only_a, only_b = (
            labels_of(int(n), ours[n] & ~theirs[n])
            for ours, theirs in ((one_NL, other_NL), (other_NL, one_NL))
        )
        found.append(DifferentVideo(truth.ids[n], only_a, only_b))
    return found


def _agreement(
    names: tuple[str, str], a: Answers, b: Answers, both_N: Bools, known_L: Bools, truth: Truth
) -> dict[str, dict[str, Coefficient]]:
    """The agreement of each pair on binary labels, with intervals over accounts."""
    if not both_N.any() or not known_L.any():
        return {}
    coded = {
        names[0]: a.runs[0].predicted,
        names[1]: b.runs[0].predicted,
        "the annotator": truth.true,
    }
    pairs = [(names[0], names[1]), (names[0], "the annotator"), (names[1], "the annotator")]
    clusters = np.unique(truth.group[both_N], return_inverse=True)[1].astype(np.int64)
    pool = np.ones((1, int(known_L.sum())), bool)
    found = {}
    for one, other in pairs:
        codes = np.stack([coded[name][both_N][:, known_L] for name in (one, other)]).astype(np.int8)
        (line,) = agreement_of(codes, 2, 0, pool, clusters)
        found[f"{one} and {other}"] = {name: line.coefficients[name] for name in AGREEMENTS}
    return found


def check_held_out(
    name: str, rows: Sequence[Any], truth: Truth, development: Collection[str]
) -> HeldOutCheck:
    """A system's PredictionRows on the development videos of `truth`, by id, and on all others, two sets of accounts.

    The macro F1 is over the labels that have positives enough in both. Raises ValueError as read_answers.
    """
    answers = read_answers(rows, truth, name)
    development_N = np.array([video in development for video in truth.ids], bool)
    parts = [answers.runs[0].known & at_N for at_N in (development_N, ~development_N)]
    use_L = answers.modelled & _enough(truth, development_N) & _enough(truth, ~development_N)
    scores = []
    for metric in METRICS:
        here, there = (_f1(metric, answers, at_N, answers.modelled, use_L, truth) for at_N in parts)
        drop = _number(here.value - there.value)
        interval = difference_of_parts(here, there)
        scores.append(
            HeldOutDrop(metric, _number(here.value), _number(there.value), there.of_score(), drop, interval)
        )
    sizes = [account_sizes(at_N, truth) for at_N in parts]
    return HeldOutCheck(
        name,
        (int(parts[0].sum()), int(parts[1].sum())),
        (int((sizes[0] > 0).sum()), int((sizes[1] > 0).sum())),
        tuple(label for label, used in zip(truth.labels, use_L, strict=True) if used),
        tuple(scores),
    )


def _enough(truth: Truth, at_N: Bools) -> Bools:
    """[L] labels with positives enough for a mean, by the rule of all scores."""
    true_NL, group_N = truth.true[at_N], truth.group[at_N]
    accounts_L = np.array([len(np.unique(group_N[true_N])) for true_N in true_NL.T], np.int64)
    enough: Bools = (true_NL.sum(0) >= FEWEST_POSITIVES) & (accounts_L >= FEWEST_ACCOUNTS_OF_LABEL)
    return enough
