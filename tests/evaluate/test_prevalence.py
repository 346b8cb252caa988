"""Prevalence of a study, from its files to the terminal and to tables."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.fixtures.rows import prediction
from tikval.cli.commands import app
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
from tikval.rows import PostRow, PredictionRow, arrow_schema
from tikval.sources.exports.write_posts import write_posts
from tikval.sources.posts import SIDE_TABLE, empty_post
from tikval.sources.write_catalog import write_catalog
from tikval.stats.folds import Fold, to_json
from tikval.stats.prevalence import (
    RateLine,
    Target,
)
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.values import LABELS, SLUGS

TARGETS: tuple[Target, ...] = ("corpus", "accounts")
PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "tiktok_annotations.csv"


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
        (
            ("b", "week"),
            "--by week: no such column of the catalog; there are account, genre, month, pinned, ",
        ),
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
    assert "nothing is corrected" in " ".join(found.notes)


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


# by what a source told of the posts


def with_posts(made: "Made", plays: Sequence[int | None]) -> Made:
    """The study, with a table of posts beside its catalog."""
    catalog = Folder(made.catalog.folder)
    run = catalog.finished()
    ids = catalog.read(["video_id"])["video_id"].to_pylist()
    rows: list[PostRow] = [
        empty_post(name, "web_item")
        | {"plays": n, "is_ad": place % 2 == 0, "pinned": None, "outcome": "collected"}
        for place, (name, n) in enumerate(zip(ids, plays, strict=True))
    ]
    side_tables = {**run.side_tables, SIDE_TABLE: write_posts(rows, catalog.uri)}
    with catalog.lock():
        catalog.write_run(made.catalog, run.files, {}, run.rows, run.failed, run.seconds, side_tables)
    return made


def test_equal_weights_change_nothing(tmp_path: Path) -> None:
    made = with_posts(Made(tmp_path).extract(), [7] * 49)
    plain, weighted = (prevalence_of(Study(made.out), "local", weight=weight) for weight in (None, "plays"))
    for one, other in zip(plain.lines, weighted.lines, strict=True):
        assert (one.videos, one.clusters) == (other.videos, other.clusters)
        assert (one.rate, one.low, one.high) == pytest.approx((other.rate, other.low, other.high))
        assert other.corrected is None


def test_a_video_counts_by_its_plays(tmp_path: Path) -> None:
    plays: list[int | None] = [None, 0, *([1] * 44), 1_000_000, 1, 1]
    made = with_posts(Made(tmp_path).extract(), plays)
    found = prevalence_of(Study(made.out), "local", weight="plays")
    decisions = read_system_corpus(Study(made.out), "local").predicted
    assert any("2 of 47 videos are left out" in note for note in found.notes)
    for line in found.lines[: len(LABELS)]:
        assert line.videos == 45
        assert line.rate == pytest.approx(decisions[:, LABELS.index(line.what)][-1], abs=1e-3)
        assert line.low is None, "one video has nearly all plays: nothing tells how sure that is"


def test_groups_by_what_a_source_told(tmp_path: Path) -> None:
    made = with_posts(Made(tmp_path).extract(), [1] * 49)
    found = prevalence_of(Study(made.out), "local", "is_ad")
    assert {line.group for line in found.lines} == {"yes", "no"}
    with pytest.raises(UserError, match="no video has a pinned"):
        prevalence_of(Study(made.out), "local", "pinned")


def test_weights_that_nobody_told_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--weight plays: no video has any"):
        prevalence_of(Study(Made(tmp_path).extract().out), "local", weight="plays")
