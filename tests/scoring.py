"""Scores straight from rows, as jobs/evaluate.py makes them: rows -> matrices -> scores."""

from collections.abc import Sequence

from tikval.evaluate.answers import read_answers, read_trained, read_truth
from tikval.evaluate.scores import everything, score
from tikval.rows import LabelRow, PredictionRow, ScoreRow


def score_system(
    predictions: Sequence[PredictionRow],
    truth: Sequence[LabelRow],
    labels: Sequence[str],
    min_share: float,
    system: str,
    annotator: str | None = None,
) -> list[ScoreRow]:
    """Of a system that said everything once."""
    known = read_truth(truth, labels, min_share, annotator)
    return score(read_answers(predictions, known, system), known)


def score_trained(
    predictions: Sequence[PredictionRow],
    truth: Sequence[LabelRow],
    labels: Sequence[str],
    min_share: float,
    system: str,
    *,
    by_fold: bool,
) -> list[ScoreRow]:
    """Of a system that was trained several times; `by_fold` as in `read_trained`."""
    known = read_truth(truth, labels, min_share)
    return score(read_trained(predictions, known, system, by_fold=by_fold), known)


def predict_everything(
    truth: Sequence[LabelRow], labels: Sequence[str], min_share: float, annotator: str | None = None
) -> list[ScoreRow]:
    """Of the baseline that says every label of every video."""
    known = read_truth(truth, labels, min_share, annotator)
    return score(everything(known), known)
