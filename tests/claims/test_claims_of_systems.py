"""Claims by systems whose labels or answers are another system's: a distilled one, a cascade."""

from pathlib import Path

import pytest

from tests.claims.test_claim_command import FOOD, claim, rows, verdicts
from tests.fixtures.claims import Claimed
from tests.fixtures.site import Page
from tikval.claims.families import read_families
from tikval.claims.family import recomputed_claims
from tikval.claims.verdict import Verdict
from tikval.config import EvaluateConfig, ReportConfig
from tikval.evaluate.score_systems import score_systems
from tikval.report.site.write import write_report
from tikval.store.runs import Study
from tikval.study.bundle import write_bundle
from tikval.study.verify import verify_bundle

BY_SMALL = FOOD.replace("looks: 2", "looks: 2\nsystem: small")


@pytest.fixture
def made(tmp_path: Path) -> Claimed:
    return Claimed(tmp_path)


def test_a_distilled_system_is_corrected_by_its_teachers_answers(made: Claimed) -> None:
    made.distilled(100)
    assert "labels of 100 videos are known" in claim(made, "--declare", text=BY_SMALL)
    assert "no look is spent" in claim(made, text=BY_SMALL), "what was answered may have suggested the claims"
    made.distilled(200)
    shown = claim(made, text=BY_SMALL)
    assert "look 1 of 2" in shown
    (one, *_) = rows(made)
    assert 80 < one["labelled"] <= 100
    assert verdicts(made)["food_more"] == Verdict.HOLDS
    assert 0.3 < one["estimate"] < 0.7
    ways = {(row["system"], row["way"]) for row in rows(made, "ways") if row["claim"] == "food_more"}
    assert ("strong", "raw") not in ways, "it has judged a sample alone"
    methods = Path(made.out, "claims/mine/methods.txt").read_text()
    assert "100 videos whose labels were known then are left out" in methods
    assert "The labels are the answers of the system strong, and no person's" in methods
    assert "the labels are the answers of the system strong" in shown
    (family,) = read_families(made.out)
    assert recomputed_claims(Study(made.out), family) == (rows(made), rows(made, "ways"))


def test_a_bundle_of_a_distilled_system_has_its_rates_and_claims_computed_again(
    tmp_path: Path, made: Claimed
) -> None:
    made.distilled(100)
    claim(made, "--declare", text=BY_SMALL)
    made.distilled(200)
    claim(made, text=BY_SMALL)
    write_bundle(Study(made.out), str(tmp_path / "one.zip"))
    (tmp_path / "to").mkdir()
    found = verify_bundle(str(tmp_path / "one.zip"), tmp_path / "to")
    assert found.differs == []


def test_the_page_of_claims_says_whose_answers_the_labels_are(
    made: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)
    made.distilled(100)
    claim(made, "--declare", text=BY_SMALL)
    scores = EvaluateConfig(predictions=(made.distilled(200),), out=made.out)
    score_systems(scores)
    report = ReportConfig(scores=scores, out=made.out)
    write_report(report)
    assert f"report: {report.folder}/claims.html" in claim(made, text=BY_SMALL)
    page = Page(Path(report.folder, "claims.html").read_text()).words
    assert "The labels are the answers of the system strong, and no person's" in page
    assert "holds in all ways of measuring" in page
    assert "strong would say of all videos" in Page(Path(report.folder, "values.html").read_text()).words
