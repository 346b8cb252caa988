"""All that is reported of a set of systems: scores with intervals, baselines, comparisons, genres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tikval.evaluate.answers import Answers, Truth
from tikval.evaluate.baselines import BASELINES, account_name_baselines, frequency_prior, human_agreement
from tikval.evaluate.compare import all_comparisons
from tikval.evaluate.scores import predict_everything, score
from tikval.evaluate.slices import slices
from tikval.rows import ComparisonRow, LabelRow, ScoreRow, SliceRow
from tikval.stats.intervals import AccountDraws


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
    draws: int = 1_000,
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
    drawn, notes = AccountDraws(truth.n_groups, draws, seed), list[str]()
    baselines = [predict_everything(truth)]
    try:
        baselines += account_name_baselines(truth)
    except ValueError as err:
        notes.append(f"the account's name as a baseline is left out: {err}")
    humans = human_agreement(labels, truth, annotator)
    scores = [*score(baselines[0], truth, drawn), *frequency_prior(truth)]
    for answers in (*baselines[1:], *([humans] if humans else []), *systems):
        scores += score(answers, truth, drawn)
    parts = [
        row for answers in (baselines[0], *systems) for row in slices(answers, truth, drawn, genres or {})
    ]
    return Evaluation(
        scores, all_comparisons(systems, baselines, truth, drawn, permutations, seed), parts, notes
    )
