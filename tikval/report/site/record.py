"""A report as plain data: gather.py makes it, pages.py makes a site of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tikval.claims.families import ClaimFamily
from tikval.evaluate.attrition import Attrition
from tikval.evaluate.evidence_counts import EvidenceCounts
from tikval.evaluate.scores import Coverage
from tikval.llm.ledger import Entry
from tikval.report.score_meaning import ScoreMeaning
from tikval.report.tables.grids import Grid
from tikval.rows import ComparisonRow, PredictionRow, ScoreRow, SliceRow
from tikval.stats.circle import Confusion
from tikval.stats.deletion import DeletionGap
from tikval.stats.prevalence import RateLine


@dataclass(frozen=True, slots=True)
class Failure:
    """A row without a result. `stage` is the job that it failed in, `reason` a tikval.rows.Reason."""

    video_id: str
    stage: str
    reason: str
    detail: str | None = None
    key: str = ""  # row_key, as of the video's card


@dataclass(frozen=True, slots=True)
class LabelAt:
    """Where a table of annotations says a label of a video."""

    slug: str
    word: str  # its stance
    line: int | None  # None: no line names the value, so it is absent
    column: str


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A call of a language model for one video."""

    stage: str
    sample: int  # from 0
    model: str  # asked for
    attempt: int
    prompt: str  # SHA-256 of the part that is the same for every post; "": not known
    seen: str | None  # what of the video was sent, in words; None: its script as text
    entry: Entry | None = None  # the paid reply; None: it is not in the ledger any more


@dataclass(frozen=True, slots=True)
class Card:
    """One video: what it is, what each system predicts and, where known, what people annotated."""

    video_id: str
    key: str = ""  # row_key: 32 hex digits, the name of its page
    seconds: float | None = None
    script: str | None = None
    caption: str | None = None
    account: str | None = None  # shown only if the report shows accounts
    genre: str | None = None
    month: str | None = None  # 2026-03, when it was posted
    marks: tuple[str, ...] = ()  # what a source says of the post: pinned, an ad ...
    counts: Mapping[str, int] = field(default_factory=dict)  # of plays, likes ..., where a source tells them
    failures: tuple[Failure, ...] = ()
    predictions: tuple[PredictionRow, ...] = ()
    annotated: tuple[int | None, ...] | None = (
        None  # [V] stance codes; a None inside: nobody looked for this value
    )
    places: tuple[LabelAt, ...] = ()  # where the given table says its labels; (): not known
    pictures: int = 0  # key frames, where they were asked for
    line_starts: tuple[float | None, ...] = ()  # seconds, by line of the script; (): not known
    line_ends: tuple[float | None, ...] = ()
    recognised: str | None = None  # the local writer's script, which quotes are compared with
    # by system the script that it judged, None: the video itself; the one above where a system is not named
    scripts_of: Mapping[str, str | None] = field(default_factory=dict)
    is_photos: bool = False  # a photo post: no times
    video: str | None = None  # address of its file from its page, where players were asked for
    no_video: str | None = None  # why there is no player then, in words
    calls: tuple[ShownCall, ...] = ()  # of language models, where they were paid for


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure: drawn by the page from `data`, and lying beside it in `charts/` as SVG, PNG, PDF and CSV."""

    name: str  # of its files
    title: str
    shows: str  # one sentence
    numbers: bytes  # CSV
    data: Mapping[str, Any]  # JSON; `kind` names how it is drawn


@dataclass(frozen=True, slots=True)
class SystemRates:
    """How often each value is endorsed and confronted, by one system or by the annotator."""

    system: str
    header: str  # what kind of rates they are: not corrected for model error
    is_human: bool
    lines: tuple[RateLine, ...]  # of all videos
    confusions: tuple[Confusion, ...]  # none without annotations
    notes: tuple[str, ...]
    teacher: str | None = None  # whose answers correct the rates, in the place of annotations


@dataclass(frozen=True, slots=True)
class Account:
    """An account's videos. `most` has, by system, its most frequent labels and their shares of its videos."""

    name: str | None  # None: videos without an account
    genre: str | None
    videos: int
    failed: int  # without a result of any system
    annotated: int
    most: Mapping[str, Sequence[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class Bill:
    """What one stage cost in calls of a paid model, over all its runs."""

    stage: str
    model: str
    calls: int
    estimate_usd: float | None  # made before the first call
    paid_usd: float
    unknown_usd: float  # of paid_usd: calls that may have been paid or not
    tokens_in: int = 0  # of replies that state them, without those of batch jobs
    tokens_cached: int = 0  # of them
    cache_usd: float = 0.0  # of paid_usd: to make explicit caches
    storage_usd: float = 0.0  # of paid_usd: to keep them
    cached_usd: float = 0.0  # by which what was cached was cheaper

    @property
    def hit_rate(self) -> float:
        """Share of the input's tokens that came from a cache."""
        return self.tokens_cached / self.tokens_in if self.tokens_in else 0.0

    @property
    def saved_usd(self) -> float:
        """USD that caching saved in the end; below 0 where explicit caches cost more than that."""
        return self.cached_usd - self.cache_usd - self.storage_usd


@dataclass(frozen=True, slots=True)
class Pair:
    """Names of two systems that are one recipe, trained and tested under two protocols."""

    paper: str
    honest: str


@dataclass(frozen=True, slots=True)
class SystemEvidence:
    """The evidence of one system: counted, and tested where jobs.explain ran."""

    system: str
    counts: EvidenceCounts
    gap: DeletionGap | None = None


@dataclass(frozen=True, slots=True)
class CascadePromise:
    """What a cascade promised before it asked the strong system, and what came of it."""

    system: str
    lines: tuple[tuple[str, ...], ...]  # cells of the plan's table
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]  # why the promise may not hold


@dataclass(frozen=True, slots=True)
class Report:
    """A site. Rates, charts and scores may cover far more videos than there are cards."""

    title: str
    facts: tuple[tuple[str, str], ...]  # (name, value): when, version, models, codebook, fingerprints
    command: str  # that reproduces it
    labels: tuple[str, ...]  # [L] as in a PredictionRow
    titles: Mapping[str, str]  # of each value, by slug
    systems: tuple[tuple[str, str], ...]  # (name, what it is)
    coverage: tuple[tuple[str, Coverage], ...]  # by stage, in the order of the data flow
    failures: tuple[Failure, ...] = ()
    rates: tuple[SystemRates, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()  # what was not drawn, and why
    grids: tuple[Grid, ...] = ()  # the paper's tables; their files lie in `tables/`
    attrition: Attrition | None = None  # how far the listed posts get
    claims: tuple[ClaimFamily, ...] = ()  # families that were declared or tested
    outdated_claims: frozenset[str] = (
        frozenset()
    )  # names of those whose labels or predictions have changed since
    accounts: tuple[Account, ...] = ()  # those with the most videos
    averaged: tuple[str, ...] = ()  # which labels the means of the scores run over, in sentences
    scores: tuple[ScoreRow, ...] = ()  # with those of predict_everything; none without annotations
    comparisons: tuple[ComparisonRow, ...] = ()
    slices: tuple[SliceRow, ...] = ()  # by genre, and endorsed against confronted
    pairs: tuple[Pair, ...] = ()  # among the systems with scores
    evidence: tuple[SystemEvidence, ...] = ()  # of the systems that give any
    cascades: tuple[CascadePromise, ...] = ()
    cards: tuple[Card, ...] = ()
    notice: str | None = None  # a warning that stands on top
    model_changes: tuple[
        tuple[str, str], ...
    ] = ()  # (stage, sentence), where several models answered; likewise on top
    exports: tuple[tuple[str, str], ...] = ()  # (what, where) of the full tables
    bills: tuple[Bill, ...] = ()
    also: tuple[tuple[str, str | None], ...] = ()  # (what, page) that lies in the same study and is not shown
    n_videos: int | None = None  # in all, where `cards` holds only some of them
    n_failures: int | None = None  # likewise
    n_accounts: int | None = None  # likewise
    show_accounts: bool = False
    labels_file: str = ""  # the name of the table of annotations, where it lies there as it was read
    out: str = ""  # the study's folder, as it is named in a command
    label_set: str | None = None  # named in a command, where the study has several
    scores_are: Mapping[str, ScoreMeaning] = field(default_factory=dict)  # by system
    prompts: Mapping[str, str] = field(default_factory=dict)  # what every post is asked with, by SHA-256
