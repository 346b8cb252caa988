"""What a report says, as plain data: a job fills it, `page.render_page` shows it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tikval.evaluate.scores import Coverage
from tikval.rows import ComparisonRow, PredictionRow, ScoreRow, SliceRow


@dataclass(frozen=True, slots=True)
class Failure:
    """A row without a result. `stage` is the job that it failed in, `reason` a tikval.rows.Reason."""

    video_id: str
    stage: str
    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Frequency:
    """In how many videos each of V values is endorsed and confronted; None where that is not modelled."""

    name: str  # a system, or who annotated
    videos: int  # with a result
    endorsed: tuple[int | None, ...]  # [V]
    confronted: tuple[int | None, ...]  # [V]
    annotated: bool = False


def frequency(
    name: str, decisions: Iterable[Sequence[bool | None]], n_labels: int, annotated: bool = False
) -> Frequency:
    """Counts over N videos with a result; `decisions` [N, L] of a system, or `binary(stances)` of people."""
    counts: list[int | None] = [None] * n_labels
    videos = 0
    for row in decisions:
        videos += 1
        for i, decided in enumerate(row):
            if decided is not None:
                counts[i] = (counts[i] or 0) + decided
    half = n_labels // 2
    return Frequency(name, videos, tuple(counts[:half]), tuple(counts[half:]), annotated)


@dataclass(frozen=True, slots=True)
class Card:
    """One video: what it is, what each system says of it and, where known, what people said."""

    video_id: str
    key: str = ""  # row_key: 32 hex digits, the name of its page
    seconds: float | None = None
    script: str | None = None
    caption: str | None = None
    account: str | None = None  # shown only if the report says so
    genre: str | None = None
    month: str | None = None  # 2026-03, when it was posted
    failures: tuple[Failure, ...] = ()
    predictions: tuple[PredictionRow, ...] = ()
    annotated: tuple[int, ...] | None = None  # [V] stance codes


@dataclass(frozen=True, slots=True)
class Bill:
    """What one stage cost in calls of a paid model, over all its runs."""

    stage: str
    model: str
    calls: int
    estimate_usd: float | None  # made before the first call
    paid_usd: float
    unknown_usd: float  # of paid_usd: calls that may have been paid or not


@dataclass(frozen=True, slots=True)
class Pair:
    """Names of two systems that are one recipe, trained and tested under two protocols."""

    paper: str
    honest: str


@dataclass(frozen=True, slots=True)
class Report:
    """A page. Frequencies and scores may cover far more videos than there are cards."""

    title: str
    facts: tuple[tuple[str, str], ...]  # (name, value): when, version, models, codebook, fingerprints
    command: str  # that reproduces it
    labels: tuple[str, ...]  # [L] as in a PredictionRow
    titles: Mapping[str, str]  # of each value, by slug
    systems: tuple[tuple[str, str], ...]  # (name, what it is)
    coverage: tuple[tuple[str, Coverage], ...]  # by stage, in the order of the data flow
    failures: tuple[Failure, ...] = ()
    frequencies: tuple[Frequency, ...] = ()
    scores: tuple[ScoreRow, ...] = ()  # with those of predict_everything; none without annotations
    comparisons: tuple[ComparisonRow, ...] = ()
    slices: tuple[SliceRow, ...] = ()  # by genre, and endorsed against confronted
    pairs: tuple[Pair, ...] = ()  # among the systems with scores
    cards: tuple[Card, ...] = ()
    notice: str | None = None  # a warning that stands on top
    exports: tuple[tuple[str, str], ...] = ()  # (what, where) of the full tables
    bills: tuple[Bill, ...] = ()
    n_videos: int | None = None  # in all, where `cards` holds only the first of them
    n_failures: int | None = None  # likewise
    show_accounts: bool = False
