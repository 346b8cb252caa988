"""How sure a language model is of itself, where several samples were asked for: in the report and in the export."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.rows import prediction
from tests.fixtures.trained import BROKEN, IDS, Study, stances
from tikval.config import EvaluateConfig, ExtractConfig, LlmExtractor, ReportConfig
from tikval.config.llm import Gemini
from tikval.evaluate.sample_agreement import sample_agreement
from tikval.evaluate.score_systems import score_systems
from tikval.extract.reply import Answer
from tikval.extract.votes import vote
from tikval.files import read_parquet, write_table
from tikval.report.export.write import write_study
from tikval.report.score_meaning import VOTES, score_meaning
from tikval.report.site.write import write_report
from tikval.rows import PredictionRow
from tikval.store import runs
from tikval.store.folder import Folder
from tikval.values import LABELS, SLUGS

SURE = IDS[:60]  # of these the samples agree, and are right; of the others each errs in its own way


def voted(study: Study, samples: int = 3) -> ExtractConfig:
    """Finished votes: every third unsure video is wrong, and no unsure one unanimous."""
    extractor = LlmExtractor(llm=Gemini(model="gemini-of-a-test"), samples=samples)
    config = ExtractConfig(scripts=study.scripts, out=study.out, system="votes", extractor=extractor)
    rows = []
    for i, name in enumerate(IDS):
        if name in BROKEN:
            rows.append(prediction(name, row_key=study.keys[name], system="votes", error="bad_reply"))
            continue
        face, humility = study.truth[name]
        right, wrong = stances(int(face), -int(humility)), stances(int(not face), -int(humility))
        given = [right] * samples if name in SURE else [wrong, right, right if i % 3 else wrong]
        found = vote([Answer(tuple(codes), True, None) for codes in given])
        rows.append(
            prediction(
                name,
                *(label for label, yes in zip(LABELS, found.decisions, strict=True) if yes),
                row_key=study.keys[name],
                system="votes",
                scores=found.scores,
                stances=found.stances,
                votes=samples,
                agreement=found.agreement,
            )
        )
    study._write(config, PredictionRow, rows)
    return config


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_where_the_samples_differ_the_vote_is_right_less_often(study: Study) -> None:
    config = voted(study)
    labels = {row["video_id"]: row for row in Folder(study.catalog.folder).read_side_table("labels")}
    found = sample_agreement(Folder(config.folder), Folder(study.catalog.folder), labels)
    assert found is not None
    assert (found.videos, found.disagreeing) == (90, 30)
    # of one value of 19, one pair of three agrees
    assert found.mean == pytest.approx(1 - (30 / 90) * (2 / 3) / len(SLUGS))
    assert found.agreed is not None
    assert found.split is not None
    assert (found.agreed.value, found.agreed.n) == (1, 2 * 90 - 30)
    assert found.split.value == pytest.approx(20 / 30)
    assert found.split.n == 30
    assert found.split.low is not None
    assert found.split.low < 20 / 30
    assert sample_agreement(Folder(config.folder), Folder(study.catalog.folder), {}) is not None


def test_a_system_that_asked_once_has_no_agreement(study: Study) -> None:
    config = study.asked("once", lambda name: stances(1, 0))
    assert sample_agreement(Folder(config.folder), Folder(study.catalog.folder), {}) is None


def test_report_and_export_show_agreement_and_shares(study: Study) -> None:
    config = voted(study)
    scores = EvaluateConfig(predictions=(config,), out=study.out, draws=100, permutations=100)
    score_systems(scores)
    report = ReportConfig(scores=scores, out=study.out)
    write_report(report)
    page = Path(report.folder, "index.html").read_text()
    assert "Samples of votes" in page
    assert "3 to each video, and a vote; mean agreement 0.988, not corrected for chance" in page
    assert "in 30 of 90 videos (33 %) they differ on at least one value" in page
    assert "share with the annotator&#39;s stance: 1.00 (" in page
    assert "of the 150 annotated values on which all agree, 0.67 [" in page
    shown = next(name for name in SURE if study.truth[name][0])
    video = Path(report.folder, "videos", f"{study.keys[shown]}.html").read_text()
    assert "vote share 1.000 (threshold 0.500)" in video
    assert "3 samples, agreement 1.000" in video

    meaning = score_meaning(runs.Study(study.out), "votes")
    assert meaning.kind == VOTES
    assert meaning.thresholds is not None
    write_study(runs.Study(study.out), str(study.root / "values.csv"))
    with (study.root / "values.csv").open() as file:
        lines = {line["video_id"]: line for line in csv.DictReader(file)}
    assert len(lines) == len(IDS)
    sure, unsure = lines[SURE[0]], lines[IDS[61]]
    assert (sure["votes"], sure["agreement"], sure["score_kind"]) == ("3", "1", "vote share")
    assert float(unsure["agreement"]) < 1
    assert (lines[BROKEN[0]]["votes"], lines[BROKEN[0]]["agreement"]) == ("", "")
    for line in lines.values():
        if line["face_endorsed_score"]:
            above = np.float32(line["face_endorsed_score"]) >= float(line["face_endorsed_threshold"])
            assert above == (line["face"] == "1")


def test_a_table_of_before_has_no_votes(study: Study) -> None:
    folder = Folder(study.asked("once", lambda name: stances(1, 0)).folder)
    (file,) = folder.paths()
    write_table(file, read_parquet(file).drop_columns(["votes", "agreement"]))
    assert {row["votes"] for row in folder.read().to_pylist()} == {None}
    write_study(runs.Study(study.out), str(study.root / "values.csv"))
    with (study.root / "values.csv").open() as lines:
        assert {(line["votes"], line["agreement"], line["score_kind"]) for line in csv.DictReader(lines)} == {
            ("", "", "none")
        }
