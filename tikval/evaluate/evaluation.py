"""All that is reported of a set of systems: scores with intervals, baselines, comparisons, genres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tikval.evaluate.answers import Answers, Truth
from tikval.evaluate.baselines import BASELINES, account_name_baselines, frequency_prior, human_agreement
from tikval.evaluate.compare import all_comparisons, draw_swaps
from tikval.evaluate.score_intervals import score_with_intervals
from tikval.evaluate.scores import predict_everything
from tikval.evaluate.slices import slices
from tikval.rows import ComparisonRow, LabelRow, ScoreRow, SliceRow
from tikval.stats.limits import NO_LABELS


@dataclass(frozen=True, slots=True)
class Evaluation:
    scores: list[ScoreRow]
    comparisons: list[ComparisonRow]
    slices: list[SliceRow]
    notes: list[str] = field(default_factory=list)  # human-readable: what was left out, and why


def evaluate_systems(
    systems: Sequence[Answers],
    truth: Truth,
    labels: Sequence[LabelRow],
    *,
    annotator: str | None = None,
    genres: Mapping[str, str | None] | None = None,
    permutations: int = 2_000,
    seed: int = 0,
) -> Evaluation:
    """`labels` are those of all annotators, `truth` is read from them. Empty where nothing is annotated.

    Raises ValueError for a system with the name of a baseline.
    """
    if taken := sorted({system.system for system in systems} & set(BASELINES)):
        raise ValueError(f"systems with the name of a baseline: {', '.join(taken)}")
    if not truth.ids:
        return Evaluation([], [], [])
    notes = [] if truth.frequent.any() else [NO_LABELS]
    baselines = [predict_everything(truth)]
    try:
        baselines += account_name_baselines(truth)
    except ValueError as err:
        notes.append(f"the account's name as a baseline is left out: {err}")
    humans = human_agreement(labels, truth, annotator)
    scores = [*score_with_intervals(baselines[0], truth), *frequency_prior(truth)]
    for answers in (*baselines[1:], *([humans] if humans else []), *systems):
        scores += score_with_intervals(answers, truth)
    parts = slices(baselines[0], truth, {})  # of a genre the baseline is a column
    for answers in systems:
        parts += slices(answers, truth, genres or {})
    swaps = draw_swaps(truth.n_groups, permutations, seed)
    return Evaluation(scores, all_comparisons(systems, baselines, truth, swaps), parts, notes)
