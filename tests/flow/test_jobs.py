"""Each job end to end on a real local Ray: real clips in, real Parquet out. Only the text encoder is a fake."""

import re
from pathlib import Path

import pytest

from tests.fixtures.corpus import TEXTS, write_captioned
from tests.fixtures.fakes import load_touchy, load_words
from tikval.config import ReportConfig, UserError, load_config
from tikval.evaluate.score_systems import score_systems
from tikval.flow.extract_values import extract_values
from tikval.flow.write_scripts import write_scripts
from tikval.report.site.write import write_report
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import Study

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

PLACES = ("", "scores.", "scores.predictions.0.", "scores.predictions.0.scripts.")
SYSTEM, SCRIPTS = PLACES[2], PLACES[3]


def study(tmp_path: Path, *overrides: tuple[str, object]) -> ReportConfig:
    """The local profile over tmp_path/videos, quick to run."""
    places = [*PLACES, f"{SCRIPTS}videos."]
    sets: list[tuple[str, object]] = [(f"{place}out", str(tmp_path / "out")) for place in places]
    sets += [
        (f"{SCRIPTS}videos.videos", str(tmp_path / "videos")),
        (f"{SCRIPTS}writer.ocr.frames", 1),
        (f"{SCRIPTS}writer.speech.engine", "none"),
        (f"{SCRIPTS}pool.actors", 1),
        (f"{SYSTEM}extractor.threshold", 0.02),
    ]
    return load_config(ReportConfig, "configs/local/report.yaml", [*sets, *overrides])


def run_all(config: ReportConfig) -> tuple[FolderRun, FolderRun]:
    system = config.scores.extracted[0]
    write_catalog(config.scores.catalog)
    scripts = write_scripts(system.first_step)
    predictions = extract_values(system, load_words)
    score_systems(config.scores)
    write_report(config)
    return scripts, predictions


def to_do(message: str) -> dict[str, int]:
    """Rows that each stage took on, as its progress said; a stage that had nothing to do says nothing."""
    return {stage: int(n) for stage, n in re.findall(r"(\w+): (\d+) to do", message)}


@pytest.mark.usefixtures("every_form")
def test_a_study_grows_is_retried_and_follows_its_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for i, text in enumerate(TEXTS):
        write_captioned(videos / f"v{i}.mp4", text, sound=i == 0)
    write_captioned(videos / "longer.mp4", TEXTS[0], seconds=4)
    (videos / "page.mp4").write_text("<html>")
    ids = ["longer", "page", "v0", "v1", "v2"]
    annotations = tmp_path / "labels.csv"
    annotations.write_text("video_id,self_direction_thought\nv0,1\npage,1\nelsewhere,1\n")

    # the longer one fails for now: its limit is below its length
    short = [(f"{SCRIPTS}limits.video_seconds", 2), (f"{SCRIPTS}videos.annotations", str(annotations))]
    scripts, predictions = run_all(study(tmp_path, *short))
    assert to_do(capsys.readouterr().err) == {"scripts": 5, "predictions": 5}
    assert scripts.failed == predictions.failed == {"too_long": 1, "unreadable": 1}
    assert (scripts.rows, scripts.retryable) == (5, 1)

    config = study(tmp_path, *short)
    system = config.scores.extracted[0]
    rows = {row["video_id"]: row for row in Folder(system.first_step.folder).read().to_pylist()}
    assert sorted(rows) == ids
    assert "[I TAUGHT MYSELF TO REPAIR RADIOS]" in rows["v0"]["script"]
    assert (rows["v0"]["has_sound"], rows["v1"]["has_sound"]) == (True, False)
    assert (rows["page"]["script"], rows["page"]["error"]) == (None, "unreadable")
    decided = {row["video_id"]: row for row in Folder(system.folder).read().to_pylist()}
    assert len(decided["v1"]["decisions"]) == 38
    assert decided["page"]["decisions"] is None
    scores = Folder(config.scores.folder).read().to_pylist()
    assert {row["system"] for row in scores} == {"predict_everything", "frequency_prior", "local"}
    assert {(row["n_videos"], row["n_scored"]) for row in scores if row["system"] == "local"} == {(2, 1)}
    site = Path(config.folder)
    assert "unreadable" in (site / "failures.html").read_text()
    assert len(list((site / "videos").iterdir())) == 5
    shown = (site / "videos" / f"{rows['v0']['row_key']}.html").read_text()
    assert "I TAUGHT MYSELF TO REPAIR RADIOS" in shown
    assert (site / "charts" / "figure2_occurrences.pdf").stat().st_size > 1000

    # the limit is not part of the recipe: the same folder, the failure tried again, the success in its place
    raised = (f"{SCRIPTS}limits.video_seconds", 60)
    scripts, predictions = run_all(study(tmp_path, short[1], raised))
    assert to_do(capsys.readouterr().err) == {"scripts": 1, "predictions": 1}
    assert scripts.failed == predictions.failed == {"unreadable": 1}
    attempts = {
        row["video_id"]: row["attempt"] for row in Folder(system.first_step.folder).read().to_pylist()
    }
    assert attempts == {"longer": 2, "page": 1, "v0": 1, "v1": 1, "v2": 1}

    # nothing to do: nothing is computed
    run_all(study(tmp_path, short[1], raised))
    assert to_do(capsys.readouterr().err) == {}

    # one more video computes one video
    write_captioned(videos / "v3.mp4", TEXTS[1])
    scripts, _ = run_all(study(tmp_path, short[1], raised))
    assert to_do(capsys.readouterr().err) == {"scripts": 1, "predictions": 1}
    assert scripts.rows == 6

    # a replaced file is computed anew, and its old rows are not shown
    write_captioned(videos / "v2.mp4", TEXTS[0], seconds=1.5)
    run_all(study(tmp_path, short[1], raised))
    assert to_do(capsys.readouterr().err) == {"scripts": 1, "predictions": 1}
    current = Folder(system.first_step.folder).rows(Folder(config.scores.catalog.folder))
    assert sorted(row["video_id"] for row in current) == [*ids, "v3"]
    assert next(row for row in current if row["video_id"] == "v2")["seconds"] == pytest.approx(1.5, abs=0.2)

    # another parameter of the second step leaves the first one alone
    changed = study(tmp_path, short[1], raised, (f"{SYSTEM}extractor.threshold", 0.5))
    run_all(changed)
    assert to_do(capsys.readouterr().err) == {"predictions": 6}
    assert changed.scores.extracted[0].first_step.folder == system.first_step.folder


def test_a_job_says_when_the_one_before_it_has_not_run(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    config = study(tmp_path)
    with pytest.raises(UserError, match=r"catalog-\w+: not finished"):
        write_scripts(config.scores.extracted[0].first_step)


def test_a_job_says_when_the_one_before_it_is_older_than_the_catalog(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "page.mp4").write_text("<html>")
    config = study(tmp_path)
    write_catalog(config.scores.catalog)
    write_scripts(config.scores.extracted[0].first_step)
    (videos / "another.mp4").write_text("<html>")
    write_catalog(config.scores.catalog)
    with pytest.raises(UserError, match=r"scripts-\w+: older than the catalog"):
        extract_values(config.scores.extracted[0], load_words)


def test_an_exception_over_one_row_is_that_rows_failure(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    write_captioned(videos / "good.mp4", TEXTS[0])
    write_captioned(videos / "bad.mp4", TEXTS[1])
    config = study(tmp_path)
    write_catalog(config.scores.catalog)
    write_scripts(config.scores.extracted[0].first_step)
    run = extract_values(config.scores.extracted[0], load_touchy)
    assert run.failed == {"internal_error": 1}
    rows = {row["video_id"]: row for row in Folder(config.scores.extracted[0].folder).read().to_pylist()}
    assert rows["bad"]["detail"] == "ValueError: not this one"
    assert rows["good"]["error"] is None
    run = extract_values(config.scores.extracted[0], load_words)  # mended, and the same command again
    assert run.failed == {}


def test_a_file_address_is_the_path_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_captioned(tmp_path / "videos" / "50% v0.mp4", TEXTS[0])
    out, places = tmp_path / "out 100%", [*PLACES, f"{SCRIPTS}videos."]
    address = [(f"{place}out", f"file://{out}") for place in places]
    config = study(tmp_path, *address, (f"{SCRIPTS}videos.videos", f"file://{tmp_path}/videos"))
    scripts, predictions = run_all(config)
    assert (scripts.rows, scripts.failed, predictions.rows) == (1, {}, 1)
    assert (Path(scripts_folder := config.scores.extracted[0].first_step.folder) / ".lock").exists()
    assert scripts_folder.startswith(f"{out}/scripts-")
    plain = study(tmp_path, *((key, str(out)) for key, _ in address))
    assert run_all(plain) == (scripts, predictions), "the same study"
    assert set(Study(f"file://{out}").systems()) == {"local"}
