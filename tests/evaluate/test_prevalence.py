"""Prevalence: shares and their intervals against recomputation and simulation, then a study from end to end."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.fixtures.rows import prediction
from tikval.cli import app
from tikval.config import (
    CatalogConfig,
    ExtractConfig,
    FinetuneConfig,
    JobConfig,
    PredictConfig,
    ScriptConfig,
    UserError,
)
from tikval.evaluate.corpus import read_system_corpus
from tikval.evaluate.prevalence import Prevalence, prevalence_in, prevalence_of
from tikval.files import write_bytes
from tikval.report.tables.prevalence import show_prevalence, write_prevalence_csv
from tikval.rows import PredictionRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.stats.arrays import Floats, Ints
from tikval.stats.folds import Fold, to_json
from tikval.stats.limits import FEWEST_ACCOUNTS, effective_groups
from tikval.stats.prevalence import (
    FEWEST,
    RateLine,
    RateSample,
    RateSums,
    Target,
    corrected_rates,
    rate_sums,
    ratio,
    raw_rates,
)
from tikval.stats.student import t_critical
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.values import LABELS, SLUGS

TARGETS: tuple[Target, ...] = ("corpus", "accounts")
PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "tiktok_annotations.csv"


# shares and intervals


def small(seed: int = 0) -> tuple[Floats, Ints, Ints, Floats]:
    """predicted [N, 3], clusters [N], annotated places and their truth."""
    rng = np.random.default_rng(seed)
    cluster = rng.permutation(np.repeat(np.arange(12), rng.integers(1, 9, 12)))
    predicted = rng.random((len(cluster), 3)).round(1)
    labelled = np.sort(rng.choice(len(cluster), len(cluster) // 2, replace=False))
    return predicted, cluster, labelled, (rng.random((len(labelled), 3)) < 0.5).astype(float)


def test_sums_over_clusters() -> None:
    predicted, cluster, labelled, truth = small()
    sums = rate_sums(predicted, cluster, labelled, truth)
    for c in range(12):
        mine, part = np.flatnonzero(cluster[labelled] == c), sums.part(slice(c, c + 1))
        assert sums.videos[c] == part.videos[0] == (cluster == c).sum()
        assert sums.labelled[c] == len(mine)
        np.testing.assert_allclose(sums.predicted[c], predicted[cluster == c].sum(0))
        np.testing.assert_allclose(part.sample.predicted, predicted[labelled][mine])
        np.testing.assert_allclose(part.sample.true, truth[mine])
        assert (part.sample.cluster == 0).all()
    with pytest.raises(ValueError, match="annotated with"):
        rate_sums(predicted, cluster, labelled, truth[1:])


def test_errors_are_those_of_leaving_each_cluster_out() -> None:
    predicted, cluster, labelled, truth = small()
    sums = rate_sums(predicted, cluster, labelled, truth)
    reach = np.full(3, 2.0)
    found = raw_rates(sums, reach)
    without = np.array([predicted[cluster != c].mean(0) for c in range(12)])
    error = np.sqrt(11 / 12 * ((without - predicted.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose(found.estimate, predicted.mean(0))
    t = t_critical(effective_groups(sums.videos) - 1)
    np.testing.assert_allclose(found.high - found.estimate, t * error)

    def estimate(keep: Ints, power: Floats) -> Floats:
        here = np.isin(labelled, np.flatnonzero(keep))
        rows = labelled[here]
        out: Floats = truth[here].mean(0) + power * (
            predicted[keep.astype(bool)].mean(0) - predicted[rows].mean(0)
        )
        return out

    mended = corrected_rates(sums, reach=reach)
    every = np.ones(len(cluster), int)
    human, whole = estimate(every, np.zeros(3)), estimate(every, np.ones(3))
    power = (mended.estimate - human) / (whole - human)
    assert ((power >= -1e-9) & (power <= 1 + 1e-9)).all()

    def error_of(power: Floats) -> Floats:
        left = np.array([estimate((cluster != c).astype(int), power) for c in range(12)])
        out: Floats = np.sqrt(11 / 12 * ((left - estimate(every, power)) ** 2).sum(0))
        return out

    t = t_critical(effective_groups(sums.labelled) - 1)
    np.testing.assert_allclose(mended.high - mended.estimate, t * error_of(power))
    for other in np.linspace(0, 1, 21):  # no other power is better
        assert (error_of(power) <= error_of(np.full(3, other)) + 1e-12).all()


def test_a_perfect_system_has_all_videos_to_go_by_and_a_useless_one_none() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((4000, 1)) < 0.3
    cluster = np.arange(4000)
    labelled = np.arange(200)
    human = raw_rates(rate_sums(truth[:200], cluster[:200], labelled, truth[:200]))
    for predicted, share in ((truth, 0.05), (rng.random((4000, 1)) < 0.3, 1.0)):
        found = corrected_rates(rate_sums(predicted, cluster, labelled, truth[:200]))
        width = (found.high - found.low) / (human.high - human.low)
        assert width[0] ** 2 == pytest.approx(share, rel=0.15)
    found = corrected_rates(rate_sums(truth, cluster, labelled, truth[:200]))
    np.testing.assert_allclose(found.estimate, truth.mean(), rtol=1e-3)


def test_where_all_are_annotated_the_annotator_decides() -> None:
    predicted, cluster, _, _ = small()
    truth = (np.random.default_rng(5).random(predicted.shape) < 0.5).astype(float)
    found = corrected_rates(rate_sums(predicted, cluster, np.arange(len(predicted)), truth))
    np.testing.assert_allclose(found.estimate, truth.mean(0))


def test_nobody_has_it() -> None:
    """No variance is seen, but a share of 0 in 10 accounts is not known to be 0."""
    found = raw_rates(
        rate_sums(np.zeros((40, 1)), np.repeat(np.arange(10), 4), np.zeros(0, int), np.zeros((0, 1)))
    )
    assert found.estimate[0] == found.low[0] == 0
    assert 0.2 < found.high[0] < 0.4


def test_one_design_effect_for_the_shares_of_a_table() -> None:
    """err² n / p (1 - p) of each, weighed by p (1 - p); a share's own where that is larger."""
    sums = table(15, 3)
    n, worth = sums.videos.sum(), effective_groups(sums.videos)
    share, error = ratio(sums.predicted, sums.videos)
    spread = share * (1 - share)
    seen = spread > 0
    own = np.where(seen, error**2 * n / np.where(seen, spread, 1), 0)
    pooled = min(max((spread * own).sum() / spread.sum(), 1), n / worth)
    a = t_critical(worth - 1) ** 2 * np.maximum(own, pooled) / n
    high = (share + a / 2 + np.sqrt(a * (spread + a / 4))) / (1 + a)
    found = raw_rates(sums)
    np.testing.assert_allclose(found.high, high)
    assert (own > pooled).any()
    assert (own < pooled).any()


def table(accounts: int, seed: int, concentration: float = 4) -> RateSums:
    """38 labels, rare and frequent, of accounts with some 9 videos; nothing is annotated."""
    rng = np.random.default_rng(seed)
    rates = np.geomspace(0.002, 0.5, 38)
    videos = np.maximum(1, rng.poisson(9, accounts))
    shares = rng.beta(concentration * rates, concentration * (1 - rates), (accounts, 38))
    none = RateSample(np.zeros(0, int), np.zeros((0, 38)), np.zeros((0, 38)), None)
    return RateSums(videos.astype(float), rng.binomial(videos[:, None], shares).astype(float), none)


@pytest.mark.parametrize("accounts", [5, 6, 8, 15, 30, 91])
def test_what_nobody_has_has_no_higher_upper_end_than_what_somebody_has(accounts: int) -> None:
    for seed in range(50):
        found = raw_rates(table(accounts, seed))
        nobody = found.estimate == 0
        if nobody.any() and not np.isnan(found.high).any():
            assert found.high[nobody].max() <= found.high[~nobody].min()
            assert found.high[nobody].min() == found.high[nobody].max(), "one design effect a column"


@pytest.mark.parametrize("accounts", [1, 2, 3, 4])
def test_fewer_than_five_accounts_have_no_interval(accounts: int) -> None:
    sums = table(accounts, 1)
    for found in (raw_rates(sums), raw_rates(sums, np.ones(38))):
        assert not np.isnan(found.estimate).any()
        assert np.isnan([found.low, found.high]).all()


def test_most_videos_in_a_few_of_many_accounts_have_no_interval() -> None:
    """G* < 4: nine accounts, two of which have nearly everything."""
    videos = np.array([200, 200, 3, 3, 3, 3, 3, 3, 3.0])
    none = RateSample(np.zeros(0, int), np.zeros((0, 1)), np.zeros((0, 1)), None)
    found = raw_rates(RateSums(videos, videos[:, None] / 3, none))
    assert np.isnan(found.high).all()


def test_no_interval_of_a_few_accounts_is_narrow() -> None:
    for seed in range(100):
        found = raw_rates(table(5 + seed % 4, seed))
        assert np.isnan(found.high).all() or (found.high - found.low).min() > 0.01


def test_measures_stay_within_their_reach() -> None:
    rng = np.random.default_rng(0)
    score = rng.choice([-2.0, 2.0], (5, 20))
    found = raw_rates(rate_sums(score, np.arange(5), np.zeros(0, int), np.zeros((0, 20))), np.full(20, 2.0))
    given = ~np.isnan(found.low)
    assert ((found.low >= -2) & (found.high <= 2))[given].all()
    assert (found.low == -2)[given].any()
    assert (found.high == 2)[given].any()


def test_too_little_to_correct() -> None:
    cluster, labelled = np.arange(40) % 10, np.arange(40)
    for having in (FEWEST - 1, FEWEST, 40 - FEWEST, 40 - FEWEST + 1):
        truth = (np.arange(40) < having).astype(float)[:, None]
        for target in TARGETS:
            found = corrected_rates(rate_sums(truth, cluster, labelled, truth), target)
            assert np.isnan(found.estimate[0]) == (not FEWEST <= having <= 40 - FEWEST)
    only = np.flatnonzero(cluster == 3)
    one = corrected_rates(rate_sums(np.ones((40, 1)), cluster, only, np.array([[0.0], [0], [1], [1]])))
    assert np.isnan(one.estimate).all()


@pytest.mark.filterwarnings("error")
def test_a_label_that_no_annotated_video_has_divides_nothing_by_zero() -> None:
    cluster, labelled = np.arange(60) % 10, np.arange(30)
    predicted = (np.arange(60) % 7 == 0).astype(float)[:, None]
    for share in (0, 1):
        for target in TARGETS:
            found = corrected_rates(
                rate_sums(predicted, cluster, labelled, np.full((30, 1), float(share))), target
            )
            assert np.isnan(found).all()


def test_means_that_are_no_shares() -> None:
    """Without any variance, or with few annotated accounts, no interval is made up."""
    score, cluster, reach = np.full((40, 1), 0.25), np.arange(40) % 10, np.ones(1)
    flat = rate_sums(score, cluster, np.arange(20), score[:20])
    for found in (raw_rates(flat, reach), corrected_rates(flat, reach=reach)):
        assert found.estimate[0] == pytest.approx(0.25)
        assert np.isnan([found.low[0], found.high[0]]).all()
    few = np.flatnonzero(cluster < FEWEST_ACCOUNTS - 1)
    assert np.isnan(corrected_rates(rate_sums(score, cluster, few, score[few]), reach=reach).estimate).all()


def test_of_this_corpus_what_is_annotated_is_known() -> None:
    """Each annotated video more makes the interval of this corpus shorter, until nothing is left to estimate."""
    rng = np.random.default_rng(4)
    truth = rng.random((400, 1)) < 0.3
    guessed = truth ^ (rng.random((400, 1)) < 0.2)
    cluster, order = np.arange(400) % 40, rng.permutation(400)
    widths = []
    for n in (50, 100, 200, 399):
        rows = order[:n]
        found = corrected_rates(rate_sums(guessed, cluster, rows, truth[rows]), "corpus")
        widths.append(float(found.high[0] - found.low[0]))
        # se² = (1 - m/N) var(true - power · guessed) / m
        rest = (
            truth[rows, 0]
            - np.polyfit(guessed[rows, 0], truth[rows, 0].astype(float), 1)[0] * guessed[rows, 0]
        )
        error = np.sqrt((1 - n / 400) * rest.var(ddof=1) / n)
        p = truth[rows].mean()
        a = t_critical(n - 1) ** 2 * error**2 / (p * (1 - p))
        at = found.estimate[0]
        assert widths[-1] == pytest.approx(2 * np.sqrt(a * (at * (1 - at) + a / 4)) / (1 + a), rel=1e-6)
    assert widths == sorted(widths, reverse=True)
    every = corrected_rates(rate_sums(guessed, cluster, np.arange(400), truth), "corpus")
    assert every.estimate[0] == pytest.approx(truth.mean())
    assert np.isnan(every.low[0]), "counted, not estimated"


@pytest.mark.parametrize("target", ["corpus", "accounts"])
def test_weights_undo_a_choice_by_genre(target: Target) -> None:
    """60 of 100 annotated videos from one genre of four, in which a label is more frequent."""
    biased, fair = list[float](), list[float]()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        cluster = np.arange(2000) % 100
        of_genre = cluster % 4 == 3
        truth = rng.random((2000, 1)) < np.where(of_genre, 0.6, 0.2)[:, None]
        guessed = truth ^ (rng.random((2000, 1)) < 0.1)
        rows = np.concatenate(
            [
                rng.choice(np.flatnonzero(of_genre == some), n, replace=False)
                for some, n in ((True, 60), (False, 40))
            ]
        )
        probability = np.where(of_genre[rows], 60 / 500, 40 / 1500)
        for found, weights in ((biased, None), (fair, probability)):
            sums = rate_sums(guessed, cluster, rows, truth[rows], weights)
            found.append(corrected_rates(sums, target).estimate[0] - truth.mean())
    assert np.mean(biased) > 0.02
    assert abs(np.mean(fair)) < 0.01


def test_weights_that_are_all_the_same_change_no_estimate() -> None:
    predicted, cluster, labelled, truth = small()
    share = np.full(len(labelled), len(labelled) / len(predicted))
    for target in TARGETS:
        plain, weighted = (
            corrected_rates(rate_sums(predicted > 0.5, cluster, labelled, truth, p), target)
            for p in (None, share)
        )
        np.testing.assert_allclose(plain.estimate, weighted.estimate)
        np.testing.assert_allclose(plain.high, weighted.high)


def simulated(seed: int, rate: float, of_whole_accounts: bool) -> tuple[RateSums, Floats]:
    """50 small corpora of the same accounts: rates, hits and false alarms differ from account to account."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, rng.lognormal(np.log(12), 0.6, 80).astype(int))
    account, width = np.repeat(np.arange(80), sizes), 50
    shares, hits = rng.beta(rate * 4, (1 - rate) * 4, (80, width)), rng.beta(8, 2, (80, width))
    alarms = rng.beta(1, 9, (80, width))
    truth = rng.random((len(account), width)) < shares[account]
    predicted = rng.random(truth.shape) < np.where(truth, hits[account], alarms[account])
    if of_whole_accounts:
        labelled = np.flatnonzero(np.isin(account, rng.choice(80, 30, replace=False)))
    else:
        labelled = rng.choice(len(account), len(account) // 3, replace=False)
    expected = np.full(width, rate * 0.8 + (1 - rate) * 0.1)
    return rate_sums(predicted, account, labelled, truth[labelled]), expected


@pytest.mark.parametrize("of_whole_accounts", [False, True])
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_intervals_cover_what_they_should_in_500_corpora(rate: float, of_whole_accounts: bool) -> None:
    drawn = [simulated(seed, rate, of_whole_accounts) for seed in range(10)]
    predicted, mended = [raw_rates(sums) for sums, _ in drawn], [corrected_rates(sums) for sums, _ in drawn]

    def covered(intervals: Iterable[Any], targets: Iterable[Any]) -> float:
        return float(
            np.mean(
                [(each.low <= at) & (at <= each.high) for each, at in zip(intervals, targets, strict=True)]
            )
        )

    assert 0.92 < covered(predicted, [expected for _, expected in drawn]) < 0.98
    assert 0.92 < covered(mended, [rate] * 10) < 0.98
    biased, fair = (np.mean([each.estimate for each in some]) - rate for some in (predicted, mended))
    assert abs(fair) < 0.005
    assert biased == pytest.approx(0.1 - 0.3 * rate, abs=0.01)  # false alarms, less what is missed
    if rate == 0.1:
        assert covered(predicted, [rate] * 10) < 0.1, "who does not correct is sure of a wrong rate"


def test_intervals_that_ignore_accounts_are_too_narrow() -> None:
    drawn = [simulated(seed, 0.3, False) for seed in range(10)]
    hits = []
    for sums, expected in drawn:
        share = sums.predicted.sum(0) / sums.videos.sum()
        half = 1.96 * np.sqrt(share * (1 - share) / sums.videos.sum())
        hits.append(np.abs(share - expected) <= half)
    assert np.mean(hits) < 0.85


# a study


class Made:
    """Two genres, three months, 12 accounts of 4 videos and one video of nobody; half are annotated, one failed."""

    def __init__(
        self, root: Path, columns: str = "path,account,genre,posted_at", annotated_by: str | None = None
    ) -> None:
        self.root, self.out = root, str(root / "out")
        self.ids = [f"v{n:02}" for n in range(49)]
        lines = [columns]
        for n, name in enumerate(self.ids):
            (root / f"{name}.mp4").write_bytes(b"x")
            cells = {
                "path": f"{name}.mp4",
                "account": "" if n == 48 else f"=a{n // 4}",
                "genre": "beauty" if n < 24 else "gaming" if n < 47 else "",
                "posted_at": f"2026-{1 + n % 3:02}-15T12:00:00Z",
                "caption": "a" if n % 2 == 0 else "b",
            }
            lines.append(",".join(cells[column] for column in columns.split(",")))
        (root / "videos.csv").write_text("\n".join(lines) + "\n")
        truth = "".join(f"v{n:02},{int(n % 4 == 0)}\n" for n in range(0, 49, 2))
        (root / "labels.csv").write_text(f"video_id,face\n{truth}never-downloaded,1\n")
        self.catalog = self.config_of(annotated_by)
        self.scripts = ScriptConfig(videos=self.catalog, out=self.out)
        self.system = ExtractConfig(scripts=self.scripts, system="local", out=self.out)
        write_catalog(self.catalog)
        listed = Folder(self.catalog.folder).read(["video_id", "row_key"]).to_pylist()
        self.keys = {row["video_id"]: row["row_key"] for row in listed}

    def config_of(self, annotated_by: str | None) -> CatalogConfig:
        keys = {
            "videos": f"{self.root}/videos.csv",
            "annotations": f"{self.root}/labels.csv",
            "out": self.out,
        }
        return CatalogConfig.model_validate(keys | ({"annotated_by": annotated_by} if annotated_by else {}))

    def annotate(self, labels: str, annotated_by: str | None = None) -> None:
        """Other annotations, in the same catalog."""
        (self.root / "labels.csv").write_text(labels)
        write_catalog(self.config_of(annotated_by))

    def writes(self, config: JobConfig, rows: Sequence[PredictionRow]) -> None:
        folder = Folder(config.folder)
        name = folder.write_part(pa.Table.from_pylist(list(rows), schema=arrow_schema(PredictionRow)))
        folder.write_run(config, [name], {}, len(rows), {}, 1.0)

    def row(self, n: int, *predicted: str, **changes: Any) -> PredictionRow:
        name = self.ids[n]
        return prediction(name, *predicted, row_key=self.keys[name], **changes)

    def extract(self) -> "Made":
        """`face+` of every other pair; the last video fails, and the one before was not reached."""
        broken = {"error": "unreadable", "detail": "no"}
        rows = [self.row(n, *(["face+"] if n % 4 < 2 else []), "tradition-") for n in range(47)]
        self.writes(self.system, [*rows, self.row(48, **broken)])
        return self


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def lines_of(found: Prevalence, what: str) -> dict[str, RateLine]:
    return {line.group: line for line in found.lines if line.what == what}


def test_rates_of_a_study(made: Made) -> None:
    found = prevalence_of(Study(made.extract().out), assume_random=True)
    face, tradition = lines_of(found, "face+")["all"], lines_of(found, "tradition-")["all"]
    assert (face.videos, face.clusters, face.annotated) == (47, 12, 24)
    assert found.corpus.left_out == {"missing": 1, "unreadable": 1}, "failures are counted and in no rate"
    assert face.rate == pytest.approx(24 / 47)
    assert face.low is not None
    assert face.low < face.rate
    # what is predicted for the annotated is the truth
    assert face.corrected == pytest.approx(12 / 24, abs=0.02)
    assert (tradition.rate, tradition.corrected) == (1, None), "no annotated video has it: not corrected"
    assert len(found.lines) == len(LABELS) + 6


def test_by_genre_and_month(made: Made) -> None:
    made.extract()
    faces = lines_of(prevalence_of(Study(made.out), by="genre"), "face+")
    assert {name: (line.videos, line.clusters) for name, line in faces.items()} == {
        "beauty": (24, 6),
        "gaming": (23, 6),
    }
    months = lines_of(prevalence_of(Study(made.out), by="month"), "face+")
    assert {name: line.videos for name, line in months.items()} == {
        "2026-01": 16,
        "2026-02": 16,
        "2026-03": 15,
    }
    assert {line.clusters for line in months.values()} == {12}


def test_accounts_are_named_only_when_asked_and_small_ones_are_one_group(made: Made, tmp_path: Path) -> None:
    made.extract()
    assert "=a0" not in shown(prevalence_of(Study(made.out), by="genre"))
    found = prevalence_of(Study(made.out), by="account")
    assert list(lines_of(found, "face+")) == ["other (fewer than 5 videos each)"]
    assert "12 of 12" in " ".join(found.notes)


def test_the_tables_name_what_they_are(made: Made, tmp_path: Path) -> None:
    found = prevalence_of(Study(made.extract().out), assume_random=True)
    text = shown(found)
    assert "not corrected for model error" in text
    assert "assumed to be drawn at random (--assume-random)" in text
    assert "speak of this corpus" in text
    assert "left out: " in text
    assert "Face" in text
    file = tmp_path / "rates.csv"
    write_prevalence_csv(found, file)
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == len(found.lines)
    assert float(rows[7]["rate (not corrected for model error)"]) == pytest.approx(24 / 47)
    assert rows[7]["label"] == "face+"
    assert {row["corrected rate"] for row in rows if row["label"] == "tradition-"} == {""}


def shown(found: Prevalence) -> str:
    out = io.StringIO()
    show_prevalence(found, Console(file=out, markup=False, width=180))
    return " ".join(out.getvalue().split())


def test_the_command(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    words = ["prevalence", made.extract().out, "--by", "genre", "--csv", str(file)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "local, beauty: 24 videos, 6 accounts" in done.stdout
    assert f"88 lines: {file}" in done.stdout
    assert {row["group"] for row in csv.DictReader(file.open(encoding="utf-8"))} == {"beauty", "gaming"}


def test_nothing_is_corrected_by_videos_of_which_nobody_knows_how_they_were_chosen(made: Made) -> None:
    found = prevalence_of(Study(made.extract().out))
    assert {line.corrected for line in found.lines} == {None}
    assert found.target is None
    text = shown(found)
    assert "24 of 47 videos are annotated; how they were chosen is not known, so no rate is corrected" in text
    assert "--annotated-by random" in text
    assert "--assume-random" in text
    assert "corrected, 24 annotated" not in text
    done = CliRunner().invoke(app, ["prevalence", made.out, "--assume-random"])
    assert "corrected, 24 annotated" in done.stdout
    assert "assumed to be drawn at random" in " ".join(done.stdout.split())


def test_how_videos_were_chosen_is_told_once_and_moves_nothing(made: Made) -> None:
    """The catalog's state, which later stages have read, is the same; and the next run need not say it again."""
    made.extract()
    before = Folder(made.catalog.folder).finished()
    write_catalog(made.config_of("random"))
    after = Folder(made.catalog.folder).finished()
    assert (after.state, after.fingerprint, after.files) == (before.state, before.fingerprint, before.files)
    write_catalog(made.config_of(None))
    found = prevalence_of(Study(made.out))
    assert found.target == "corpus"
    assert lines_of(found, "face+")["all"].corrected is not None
    assert "drawn at random, as the catalog says" in shown(found)
    write_catalog(made.config_of("unknown"))
    assert prevalence_of(Study(made.out)).target is None


def test_whole_accounts_speak_of_accounts(tmp_path: Path) -> None:
    made = Made(tmp_path, annotated_by="accounts").extract()
    found = prevalence_of(Study(made.out))
    assert found.target == "accounts"
    assert "accounts like these" in shown(found)
    with pytest.raises(UserError, match="--target corpus: whole accounts were drawn"):
        prevalence_of(Study(made.out), target="corpus")


def test_the_two_targets_have_their_own_intervals(tmp_path: Path) -> None:
    made = Made(tmp_path, annotated_by="random").extract()
    corpus, accounts = (prevalence_of(Study(made.out), target=target) for target in TARGETS)
    assert (corpus.target, accounts.target) == TARGETS
    one, other = (lines_of(found, "face-")["all"] for found in (corpus, accounts))
    assert one.rate == other.rate == 0
    one, other = (lines_of(found, "openness_to_change")["all"] for found in (corpus, accounts))
    assert (one.low, one.high) == (other.low, other.high), "a raw rate is of accounts, whatever is corrected"
    assert "accounts like these" in shown(accounts)


def test_probabilities_are_weights_without_being_told(made: Made) -> None:
    """face+ is true of every fourth; those are drawn three times as often."""
    rows = [(n, 0.9 if n % 4 == 0 else 0.3) for n in range(47) if n % 4 == 0 or n % 12 in (1, 2, 3)]
    made.annotate(
        "video_id,probability,face\n" + "".join(f"v{n:02},{p},{int(n % 4 == 0)}\n" for n, p in rows)
    )
    found = prevalence_of(Study(made.extract().out))
    face = lines_of(found, "face+")["all"]
    weights = {n: 1 / p for n, p in rows}
    share = sum(w for n, w in weights.items() if n % 4 == 0) / sum(weights.values())
    assert face.annotated == len(rows)
    assert face.corrected == pytest.approx(share, abs=0.12), "not that of the annotated, 12 of 24"
    assert "each weighed by the probability" in shown(found)
    made.annotate(
        "video_id,probability,face\n" + "".join(f"v{n:02},{0.5 if n < 24 else ''},1\n" for n in range(47))
    )
    found = prevalence_of(Study(made.out))
    assert lines_of(found, "face+")["all"].annotated == 24
    assert "the 23 without a probability correct nothing" in shown(found)
    made.annotate("video_id,face\nv00,1\n", "weights")
    found = prevalence_of(Study(made.out))
    assert found.target is None
    assert "no column probability" in shown(found)


@pytest.mark.parametrize("cell", ["0", "1.5", "-0.1", "often"])
def test_a_probability_that_is_none_is_an_error(made: Made, cell: str) -> None:
    with pytest.raises(UserError, match=r"line 2, column probability: .* is no probability"):
        made.annotate(f"video_id,probability,face\nv00,{cell},1\n")


def test_annotations_of_one_genre_do_not_look_random(made: Made) -> None:
    made.annotate("video_id,face\n" + "".join(f"v{n:02},{n % 2}\n" for n in range(24)), "random")
    text = shown(prevalence_of(Study(made.extract().out)))
    assert "warning: the annotated videos do not look drawn at random: their genres are not those" in text
    made.annotate("video_id,face\n" + "".join(f"v{n:02},{n % 2}\n" for n in range(0, 48, 2)), "random")
    assert "warning" not in shown(prevalence_of(Study(made.out)))


def test_annotations_of_what_the_system_found_do_not_look_random(made: Made) -> None:
    chosen = [n for n in range(47) if n % 4 < 2]  # where the system says face+
    made.annotate("video_id,face\n" + "".join(f"v{n:02},{n % 2}\n" for n in chosen), "random")
    text = shown(prevalence_of(Study(made.extract().out)))
    assert (
        "warning: the annotated videos do not look drawn at random: local predicts face+ in 100.0% of them"
        in text
    )


def test_by_any_column_of_the_catalog(tmp_path: Path) -> None:
    made = Made(tmp_path, "path,account,genre,posted_at,caption").extract()
    found = prevalence_of(Study(made.out), by="caption")
    assert {name: line.videos for name, line in lines_of(found, "face+").items()} == {"a": 24, "b": 23}
    sizes = prevalence_of(Study(made.out), by="size_bytes")
    assert list(lines_of(sizes, "face+")) == ["1"]
    with pytest.raises(UserError, match="no video has a is_minor"):
        prevalence_of(Study(made.out), by="is_minor")
    with pytest.raises(
        UserError, match="--by followers: no such column of the catalog; there are account, genre,"
    ):
        prevalence_of(Study(made.out), by="followers")


def test_groups_that_are_left_out_are_named_with_their_sizes(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    words = ["prevalence", made.extract().out, "--by", "genre", "--min-videos", "24", "--csv", str(file)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "in other, with fewer videos: gaming (23)" in done.stdout
    assert f"89 lines: {file}" in done.stdout
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    assert {(row["group"], row["label"], row["videos"]) for row in rows if not row["label"]} == {
        ("gaming", "", "23")
    }
    whole = prevalence_of(Study(made.out), by="genre", min_videos=1)
    assert whole.small == ()


def test_four_accounts_have_no_interval_and_the_reason_stands_once(made: Made, tmp_path: Path) -> None:
    for n in range(14, 49):
        (made.root / f"v{n:02}.mp4").unlink()
    lines = (made.root / "videos.csv").read_text().splitlines()[:15]
    (made.root / "videos.csv").write_text("\n".join(lines) + "\n")
    write_catalog(made.catalog)
    made.writes(made.system, [made.row(n, *(["face+"] if n % 4 < 2 else [])) for n in range(14)])
    file = tmp_path / "rates.csv"
    for more in ([], ["--assume-random"], ["--assume-random", "--target", "accounts"]):
        done = CliRunner().invoke(app, ["prevalence", made.out, "--csv", str(file), *more])
        assert done.exit_code == 0, done.output
        assert "[" not in done.stdout
        assert done.stdout.count("too few for an interval") == 1
        assert "4 accounts: too few for an interval" in done.stdout
        rows = list(csv.DictReader(file.open(encoding="utf-8")))
        assert {row["low (not corrected for model error)"] for row in rows} == {""}
        assert {row["corrected low"] for row in rows} == {""}
        assert {row["why no interval"] for row in rows} == {"4 accounts: too few for an interval"}
        assert "None" not in file.read_text()


def test_below_fifteen_accounts_a_few_decide(made: Made) -> None:
    assert "a few accounts decide this: 12" in shown(prevalence_of(Study(made.extract().out)))


def test_names_that_look_like_formulas(made: Made, tmp_path: Path) -> None:
    made.extract()
    found = prevalence_in(read_system_corpus(Study(made.out)), "account", min_videos=4)
    assert {line.clusters for line in found.lines} == {4, 3}, "of an account, its videos"
    assert "=a0, 4 videos" in shown(found).replace(": 4", ", 4")
    write_prevalence_csv(found, tmp_path / "rates.csv")
    with (tmp_path / "rates.csv").open(encoding="utf-8", newline="") as opened:
        groups = {row["group"] for row in csv.DictReader(opened)}
    assert "'=a0" in groups
    assert not [name for name in groups if name.startswith("=")]


def test_what_was_judged_several_times_counts_once(made: Made) -> None:
    """A trained system's partitions: a video is in each and counts with the mean."""
    config = FinetuneConfig(scripts=made.scripts, system="roberta", out=made.out)
    rows = [
        made.row(n, *(["face+"] if p == 0 else []), split="honest", seed=p) for n in range(8) for p in (0, 1)
    ]
    rows += [made.row(8, "face+", seed=0), made.row(8, seed=1, error="timeout", detail="")]
    made.writes(config, rows)
    found = prevalence_of(Study(made.out))
    assert lines_of(found, "face+")["all"].rate == pytest.approx((8 * 0.5 + 1) / 9)
    assert "judged videos 2 times" in " ".join(found.notes)


def test_rows_that_a_system_was_trained_on_count_nowhere(made: Made) -> None:
    trained = FinetuneConfig(scripts=made.scripts, system="roberta", out=str(made.root / "other"))
    config = PredictConfig(trained=trained, scripts=made.scripts, system="later", out=made.out)
    made.writes(config, [made.row(n, "face+") for n in range(48)])
    unknown = prevalence_of(Study(made.out), "later")
    assert lines_of(unknown, "face+")["all"].annotated == 0
    assert "not known any more" in " ".join(unknown.notes)
    fold = Fold(0, 0, tuple(made.ids[:10]), tuple(made.ids[10:14]), tuple(made.ids[14:18]))
    write_bytes(f"{trained.folder}/folds.json", to_json([fold]).encode())
    found = prevalence_of(Study(made.out), "later")
    face = lines_of(found, "face+")["all"]
    assert (face.videos, face.annotated) == (30, 15)
    assert found.corpus.left_out == {"trained on": 18, "missing": 1}


def test_a_label_that_is_not_modelled_has_no_rate(made: Made) -> None:
    rows = [made.row(n, "face+") for n in range(10)]
    for row in rows:
        assert row["decisions"] is not None
        row["decisions"][LABELS.index("tradition+")] = None
    made.writes(made.system, rows)
    predicted = {line.what for line in prevalence_of(Study(made.out)).lines}
    assert "tradition+" not in predicted
    assert "conservation" not in predicted
    assert {"tradition-", "self_transcendence"} <= predicted
    rows[0]["decisions"] = [True] * len(LABELS)
    made.writes(made.system.model_copy(update={"system": "odd"}), rows)
    with pytest.raises(UserError, match=r"odd: modelled for some videos only: tradition\+"):
        prevalence_of(Study(made.out), "odd")


def test_mistakes(tmp_path: Path) -> None:
    made = Made(tmp_path, "path")
    made.writes(made.system, [made.row(n) for n in range(49)])
    made.writes(made.system.model_copy(update={"system": "b"}), [made.row(n) for n in range(49)])
    for arguments, predicted in (
        ((None,), "several systems; name one with --system: b, local"),
        (("c",), "no system c; there are b, local"),
        (("b", "week"), "--by week: no such column of the catalog; there are account, genre, month, path"),
        (("b", "month"), "no video has a month; give a manifest with the column posted_at"),
        (("b", "genre"), "no video has a genre"),
        (("b", None, "nobody"), "no annotator nobody; there are human"),
    ):
        with pytest.raises(UserError, match=predicted):
            prevalence_of(Study(made.out), *arguments)
    alone = prevalence_of(Study(made.out), "b")
    assert "49 of 49 videos have no account" in " ".join(alone.notes)


def test_annotations_of_other_videos(made: Made) -> None:
    (made.root / "labels.csv").write_text("video_id,face\nnever-downloaded,1\n")
    with pytest.raises(UserError, match="1 of 1 annotated videos is not in the catalog: never-downloaded"):
        write_catalog(made.catalog)
    write_catalog(made.catalog.model_copy(update={"annotations_unmatched": "go_on"}))
    found = prevalence_of(Study(made.extract().out))
    assert {line.annotated for line in found.lines} == {0}
    assert {line.corrected for line in found.lines} == {None}
    assert "nothing can be corrected" in " ".join(found.notes)


def test_several_annotators(made: Made) -> None:
    made.extract()
    (made.root / "labels.csv").write_text("video_id,annotator,face\nv00,ann,1\nv00,bob,0\nv01,bob,1\n")
    write_catalog(made.catalog)
    with pytest.raises(UserError, match="several annotators; name one with --annotator: ann, bob"):
        prevalence_of(Study(made.out))
    assert lines_of(prevalence_of(Study(made.out), annotator="bob"), "face+")["all"].annotated == 2


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published annotations are not here")
def test_the_published_annotations(tmp_path: Path) -> None:
    (tmp_path / "some.mp4").write_bytes(b"x")
    catalog = CatalogConfig(
        videos=str(tmp_path / "some.mp4"),
        annotations=str(PUBLISHED),
        annotations_unmatched="go_on",
        out=str(tmp_path / "out"),
    )
    write_catalog(catalog)
    found = prevalence_of(Study(catalog.out))
    counts = {line.what: line.rate * 888 for line in found.lines}
    assert {line.videos for line in found.lines} == {888}
    assert {line.clusters for line in found.lines} == {91}
    assert sum(counts[f"{slug}+"] for slug in SLUGS) == pytest.approx(2132)
    assert sum(counts[f"{slug}-"] for slug in SLUGS) == pytest.approx(820)
    assert counts["power_dominance-"] == pytest.approx(45)
    assert sum(round(counts[label]) >= 0.05 * 888 for label in LABELS) == 19
    assert found.header == "human labels"
    shown(found)


def test_where_every_video_is_annotated_nothing_is_estimated_of_this_corpus(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.annotate("video_id,face\n" + "".join(f"v{n:02},{n % 2}\n" for n in range(47)), "random")
    text = shown(prevalence_of(Study(made.extract().out)))
    assert text.count("corrected: every video is annotated, so what is in this corpus is counted") == 1


def test_rates_of_annotations_say_that_they_are_not_weighted(made: Made) -> None:
    made.annotate("video_id,probability,face\nv00,0.5,1\nv04,0.25,0\n")
    assert "not weighted by the probabilities" in shown(prevalence_of(Study(made.out), "annotations"))
