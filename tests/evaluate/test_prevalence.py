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
from tikval.stats.prevalence import (
    FEWEST,
    RateLine,
    RateSums,
    corrected_rates,
    independent,
    rate_sums,
    raw_rates,
    t_quantile,
)
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.values import LABELS, SLUGS

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "tiktok_annotations.csv"


# shares and intervals


@pytest.mark.parametrize(
    ("degrees", "t"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4.9, 2.776), (10, 2.228), (90, 1.987), (0.3, 12.706)],
)
def test_students_t(degrees: float, t: float) -> None:
    assert t_quantile(degrees) == pytest.approx(t, abs=0.004)


def test_clusters_are_worth_less_where_few_hold_most() -> None:
    assert independent(np.full(7, 3.0)) == 7
    assert independent(np.array([90.0, 1, 1])) < 1.1
    assert independent(np.zeros(0)) == 0


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
        mine = np.flatnonzero(cluster[labelled] == c)
        assert sums.videos[c] == (cluster == c).sum()
        np.testing.assert_allclose(sums.predicted[c], predicted[cluster == c].sum(0))
        np.testing.assert_allclose(sums.predicted_labelled[c], predicted[labelled][mine].sum(0))
        np.testing.assert_allclose(sums.true_labelled[c], truth[mine].sum(0))
    with pytest.raises(ValueError, match="annotated with"):
        rate_sums(predicted, cluster, labelled, truth[1:])


def test_errors_are_those_of_leaving_each_cluster_out() -> None:
    predicted, cluster, labelled, truth = small()
    sums = rate_sums(predicted, cluster, labelled, truth)
    found = raw_rates(sums, shares=False)
    without = np.array([predicted[cluster != c].mean(0) for c in range(12)])
    error = np.sqrt(11 / 12 * ((without - predicted.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose(found.estimate, predicted.mean(0))
    t = t_quantile(independent(sums.videos) - 1)
    np.testing.assert_allclose(found.high - found.estimate, t * error)

    def estimate(keep: Ints, power: Floats) -> Floats:
        here = np.isin(labelled, np.flatnonzero(keep))
        rows = labelled[here]
        out: Floats = truth[here].mean(0) + power * (
            predicted[keep.astype(bool)].mean(0) - predicted[rows].mean(0)
        )
        return out

    mended = corrected_rates(sums, shares=False)
    every = np.ones(len(cluster), int)
    human, whole = estimate(every, np.zeros(3)), estimate(every, np.ones(3))
    power = (mended.estimate - human) / (whole - human)
    assert ((power >= -1e-9) & (power <= 1 + 1e-9)).all()

    def error_of(power: Floats) -> Floats:
        left = np.array([estimate((cluster != c).astype(int), power) for c in range(12)])
        out: Floats = np.sqrt(11 / 12 * ((left - estimate(every, power)) ** 2).sum(0))
        return out

    t = t_quantile(independent(sums.labelled) - 1)
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


def test_too_little_for_an_interval() -> None:
    predicted, none = np.ones((9, 1)), np.zeros(0, int)
    one = raw_rates(rate_sums(predicted, np.zeros(9, int), none, np.zeros((0, 1))))
    assert (one.estimate[0], np.isnan(one.low[0]), np.isnan(one.high[0])) == (1, True, True)
    cluster, labelled = np.arange(40) % 10, np.arange(40)
    for having in (FEWEST - 1, FEWEST, 40 - FEWEST + 1):
        truth = (np.arange(40) < having).astype(float)[:, None]
        found = corrected_rates(rate_sums(truth, cluster, labelled, truth))
        assert np.isnan(found.estimate[0]) == np.isnan(found.high[0]) == (having != FEWEST)
    only = np.flatnonzero(cluster == 3)
    assert np.isnan(
        corrected_rates(rate_sums(np.ones((40, 1)), cluster, only, np.ones((4, 1)))).estimate
    ).all()


def test_means_that_are_no_shares() -> None:
    """Without any variance, or with few annotated accounts, no interval is made up."""
    score, cluster = np.full((40, 1), 0.25), np.arange(40) % 10
    flat = rate_sums(score, cluster, np.arange(20), score[:20])
    for found in (raw_rates(flat, shares=False), corrected_rates(flat, shares=False)):
        assert found.estimate[0] == pytest.approx(0.25)
        assert np.isnan([found.low[0], found.high[0]]).all()
    few = np.flatnonzero(cluster < FEWEST - 1)
    assert np.isnan(corrected_rates(rate_sums(score, cluster, few, score[few]), shares=False).estimate).all()


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

    def __init__(self, root: Path, columns: str = "path,account,genre,posted_at") -> None:
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
            }
            lines.append(",".join(cells[column] for column in columns.split(",")))
        (root / "videos.csv").write_text("\n".join(lines) + "\n")
        truth = "".join(f"v{n:02},{int(n % 4 == 0)}\n" for n in range(0, 49, 2))
        (root / "labels.csv").write_text(f"video_id,face\n{truth}never-downloaded,1\n")
        self.catalog = CatalogConfig(
            videos=str(root / "videos.csv"), annotations=str(root / "labels.csv"), out=self.out
        )
        self.scripts = ScriptConfig(videos=self.catalog, out=self.out)
        self.system = ExtractConfig(scripts=self.scripts, system="local", out=self.out)
        write_catalog(self.catalog)
        listed = Folder(self.catalog.folder).read(["video_id", "row_key"]).to_pylist()
        self.keys = {row["video_id"]: row["row_key"] for row in listed}

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
    found = prevalence_of(Study(made.extract().out))
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
    found = prevalence_of(Study(made.extract().out))
    text = shown(found)
    assert "not corrected for model error" in text
    assert "random part" in text
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
        (("b", "week"), "--by week: not one of account, genre, month"),
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
    write_catalog(made.catalog)
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
        videos=str(tmp_path / "some.mp4"), annotations=str(PUBLISHED), out=str(tmp_path / "out")
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
