"""The report of a study by the job: counted over all videos, pages for some, nothing of what is gone. No Ray."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.clips import moving, write_clip
from tests.fixtures.site import Page
from tests.fixtures.trained import BROKEN, IDS, Study, stances
from tikval.config import (
    CatalogConfig,
    EvaluateConfig,
    ExtractConfig,
    Limits,
    ReportConfig,
    ScriptConfig,
    UserError,
)
from tikval.evaluate.score_systems import score_systems
from tikval.evaluate.scores import coverage
from tikval.media.isolation import isolation_text, kernel_isolation
from tikval.report.site.pictures import names_of, pictures_of, take_pictures
from tikval.report.site.write import write_report
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.study.erasure import erase_videos


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


@pytest.fixture(autouse=True)
def one_form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures in one form: drawing them in all takes seconds, and what tests them is another test's."""
    if request.function is not test_charts_and_their_numbers_are_of_this_report:
        monkeypatch.setattr("tikval.report.figures.gather.SUFFIXES", ("svg",))


def scored(study: Study) -> EvaluateConfig:
    """A trained system and one that was asked, which could not be read once."""
    trained = study.trained("bert", study.noisy(1), seeds=2)

    def answer(name: str) -> list[int] | None:
        return None if name == IDS[3] else stances(int(study.truth[name][0]), 0)

    config = EvaluateConfig(predictions=(study.asked("gemini", answer), trained), out=study.out)
    score_systems(config)
    return config


def shown(config: ReportConfig) -> set[str]:
    return {path.stem for path in (Path(config.folder) / "videos").iterdir()}


def page(config: ReportConfig, name: str) -> Page:
    return Page((Path(config.folder) / name).read_text(encoding="utf-8"))


def test_everything_is_counted_and_some_have_pages(study: Study) -> None:
    labels = (study.root / "labels.csv").read_text().splitlines()
    (study.root / "labels.csv").write_text(
        "\n".join(labels[:1] + labels[-20:])
    )  # the last twenty are annotated
    write_catalog(study.catalog)
    scores = scored(study)
    config = ReportConfig(scores=scores, out=study.out, videos=30)
    run = write_report(config)
    assert run.rows == len(IDS)
    assert shown(config) == {study.keys[name] for name in (*IDS[:10], *IDS[-20:])}, "annotated ones first"

    overview = page(config, "index.html").words
    assert "92 videos" in overview
    assert f"on this page's machine: {isolation_text(kernel_isolation())}" in overview
    predictions = Folder(scores.predictions[0].folder)
    counts = coverage(predictions.rows(Folder(scores.catalog.folder)))
    assert (counts.rows, sum(counts.failures.values())) == (92, 3)
    assert f"values: gemini 92 {counts.results} {counts.abstained} 3" in overview
    failures = page(config, "failures.html").words
    assert "3 failures" not in failures
    for name in (*BROKEN, IDS[3]):
        assert failures.count(f" {name} ") == 1, "each video once"
    assert f"{BROKEN[0]} scripts unreadable" in failures, "where it failed first"
    assert f"{IDS[3]} values: gemini bad_reply" in failures
    data = (Path(config.folder) / "data" / "videos.js").read_text()
    assert json.loads(data.partition("tikval.videos = ")[2].rstrip(";\n"))["in_all"] == len(IDS)


def test_accounts_are_numbers_with_their_most_frequent_labels(study: Study) -> None:
    config = ReportConfig(scores=scored(study), out=study.out)
    write_report(config)
    page_of = page(config, "accounts.html")
    assert "account0" not in page_of.text
    mine = [name for i, name in enumerate(IDS) if i % 15 == 0]
    read = [name for name in mine if name not in BROKEN]
    share = np.mean([study.truth[name][0] for name in read])
    line = page_of.words.partition("account 1 ")[2].partition("account ")[0]
    assert line.startswith(f"{len(mine)} {len(mine) - len(read)} {len(mine)} annotations: ")
    assert f"gemini: + Face {100 * share:.0f} %" in line
    named = ReportConfig(scores=config.scores, out=study.out, show_accounts=True)
    write_report(named)
    assert "account0" in page(named, "accounts.html").text
    assert named.folder != config.folder


def test_a_system_that_was_trained_several_times_is_one_line(study: Study) -> None:
    config = ReportConfig(scores=scored(study), out=study.out)
    write_report(config)
    assert "values: bert 92 90 0 2" in page(config, "index.html").words
    words = page(config, f"videos/{study.keys[IDS[0]]}.html").words
    assert words.count("bert") == 1


def test_the_same_report_is_not_made_again_and_a_video_that_is_gone_has_no_page(study: Study) -> None:
    scores = scored(study)
    config = ReportConfig(scores=scores, out=study.out)
    first = write_report(config)
    assert write_report(config) == first
    gone = study.root / f"{IDS[5]}.mp4"
    lines = (study.root / "videos.csv").read_text().splitlines()
    (study.root / "videos.csv").write_text("\n".join(line for line in lines if not line.startswith(IDS[5])))
    gone.unlink()
    write_catalog(study.catalog)
    score_systems(scores)
    write_report(config)
    assert study.keys[IDS[5]] not in shown(config)
    assert len(shown(config)) == len(IDS) - 1
    assert erase_videos(study.out, {IDS[6]}, set())[0] == {IDS[6]}
    left = [path for path in Path(config.folder).rglob("*") if path.is_file() and path.name != ".lock"]
    assert left == [], "a report names whom it shows"


def test_a_page_corrects_rates_once_it_is_told_how_videos_were_annotated(study: Study) -> None:
    """And nothing else is done again."""
    scores = scored(study)
    config = ReportConfig(scores=scores, out=study.out)
    write_report(config)
    words = page(config, "values.html").words
    assert "how they were chosen is not known, so no rate is corrected" in words
    assert "tikval prevalence OUT --assume-random" in words
    assert "as predicted corrected" not in words
    before = Folder(scores.folder).finished()
    write_catalog(study.catalog.model_copy(update={"annotated_by": "random"}))
    assert score_systems(scores) == before
    write_report(config)
    words = page(config, "values.html").words
    assert "as predicted corrected" in words
    assert "drawn at random, as the catalog says" in words
    assert words.count("corrected: every video is annotated") == len(scores.predictions)
    assert "[None" not in words


def test_a_stage_that_has_not_run_is_named(study: Study) -> None:
    scores = EvaluateConfig(predictions=(study.asked("gemini", lambda _: stances(1, 0)),), out=study.out)
    with pytest.raises(UserError, match="not finished"):
        write_report(ReportConfig(scores=scores, out=study.out))


@pytest.mark.usefixtures("every_form")
def test_charts_and_their_numbers_are_of_this_report(study: Study) -> None:
    """Not of another recipe of the same system that was run later."""
    scores = scored(study)
    other = study.asked("gemini", lambda _: stances(1, 1), temperature=0.5)
    assert other.folder != scores.predictions[0].folder
    config = ReportConfig(scores=scores, out=study.out)
    write_report(config)
    charts = Path(config.folder) / "charts"
    rows = list(csv.DictReader(io.StringIO((charts / "figure2_occurrences.csv").read_text())))
    of = {(row["system"], row["value"], row["stance"]): float(row["count"] or "nan") for row in rows}
    read = [name for name in IDS if name not in (*BROKEN, IDS[3])]
    assert of["gemini", "face", "endorsed"] == sum(study.truth[name][0] for name in read)
    assert of["gemini", "humility", "endorsed"] == 0
    for suffix in ("svg", "png", "pdf"):
        assert (charts / f"figure2_occurrences.{suffix}").stat().st_size > 1000


def catalog_of_clips(root: Path) -> CatalogConfig:
    for name in ("dog", "child"):
        write_clip(root / f"{name}.mp4", width=320, height=568, n=20, pictures=moving(20, 320, 568))
    (root / "broken.mp4").write_bytes(b"no video")
    (root / "videos.csv").write_text("path,account\ndog.mp4,ann\nchild.mp4,kid\nbroken.mp4,ann\n")
    return CatalogConfig(videos=str(root / "videos.csv"), out=str(root / "out"))


def test_pictures_of_what_can_be_read_and_of_nothing_else(tmp_path: Path) -> None:
    catalog = catalog_of_clips(tmp_path)
    write_catalog(catalog)
    rows = {row["video_id"]: row for row in Folder(catalog.folder).read().to_pylist()}
    place = tmp_path / "pictures"
    some = [rows["dog"], rows["broken"]]
    done = take_pictures(some, str(place), str(tmp_path / "report"), Limits())
    assert done == {rows["dog"]["row_key"]}
    names = names_of(rows["dog"]["row_key"])
    assert sorted(path.name for path in place.iterdir()) == names
    assert min(Image.open(place / names[0]).size) == 240

    taken = (place / names[0]).stat().st_mtime_ns
    take_pictures([rows["dog"], rows["child"]], str(place), str(tmp_path / "report"), Limits())
    assert (place / names[0]).stat().st_mtime_ns == taken, "taken twice"
    assert len(list(place.iterdir())) == 6
    take_pictures([rows["child"]], str(place), str(tmp_path / "report"), Limits())
    assert sorted(path.name for path in place.iterdir()) == names_of(rows["child"]["row_key"])


def test_no_pictures_of_accounts_that_feature_a_minor(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account,is_minor\nann,false\nkid,true\n")
    catalog = catalog_of_clips(tmp_path).model_copy(update={"accounts": str(tmp_path / "accounts.csv")})
    write_catalog(catalog)
    system = ExtractConfig(
        scripts=ScriptConfig(videos=catalog, out=catalog.out), out=catalog.out, system="local"
    )
    scores = EvaluateConfig(predictions=(system,), out=catalog.out)
    config = ReportConfig(scores=scores, out=catalog.out, show_pictures=True)
    rows = {row["video_id"]: row for row in Folder(catalog.folder).read().to_pylist()}
    assert pictures_of(config, Folder(catalog.folder), list(rows.values())) == {rows["dog"]["row_key"]}
    assert len(list((Path(config.folder) / "pictures").iterdir())) == 3


def test_an_id_that_is_listed_twice_is_a_failure_of_the_second_row(study: Study) -> None:
    lines = (study.root / "videos.csv").read_text().splitlines()
    (study.root / "videos.csv").write_text("\n".join([*lines, lines[1]]))
    write_catalog(study.catalog)
    config = ReportConfig(scores=scored(study), out=study.out)
    write_report(config)
    words = page(config, "failures.html").words
    assert f"{IDS[0]} catalog duplicate_id" in words
    assert "Failures 4" in words
    assert "Failed in" not in page(config, f"videos/{study.keys[IDS[0]]}.html").words
    assert "92 videos" in page(config, "index.html").words
