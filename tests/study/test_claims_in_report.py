"""`tikval claim` on a study with a report: its page is made anew, and a study without claims stays as it was."""

from pathlib import Path

import pytest

from tests.fixtures.offline import tikval, without_ray
from tests.fixtures.site import Page
from tests.study.test_one_study import Place
from tikval.store.runs import Study


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    without_ray(monkeypatch)
    monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)
    return Place(tmp_path)


def report(place: Place) -> Path:
    latest = Study(place.out).latest("report")
    assert latest is not None
    return Path(latest[0].uri)


def test_the_reports_page_is_made_anew_with_each_look(place: Place) -> None:
    labels = place.labels("labels.csv", "face", "humility")
    place.analyze("--annotations", labels, "--annotated-by", "random")
    assert not (report(place) / "claims.html").exists()
    before = (report(place) / "run.json").read_bytes()
    claims = place.root / "claims.yaml"
    claims.write_text("name: mine\nclaims:\n  a: {label: face+, against: 0.2}\n")
    shown = tikval("claim", place.out, str(claims)).output
    assert f"report: {report(place)}/claims.html" in shown
    page = Page((report(place) / "claims.html").read_text())
    assert "not declared before the look" in page.words
    assert "Accounts endorse Face in more than 20 % of their videos." in page.words
    assert "account0" not in page.text
    made = (report(place) / "run.json").read_bytes()
    assert made != before
    index = Page((report(place) / "index.html").read_text())
    assert "claims.html#mine--a" in index.links

    tikval("claim", place.out, str(claims), "--declare")
    page = Page((report(place) / "claims.html").read_text())
    assert "1 claim, not tested yet" in page.words, "what was explored before is not of the declared family"
    made = (report(place) / "run.json").read_bytes()
    tikval("claim", place.out, str(claims), "--declare")
    assert (report(place) / "run.json").read_bytes() == made, "nothing new"


@pytest.mark.full
def test_a_family_is_of_one_codebook_and_stays_out_of_the_others_report(place: Place) -> None:
    place.analyze("--annotations", place.labels("labels.csv", "face"), "--annotated-by", "random")
    claims = place.root / "claims.yaml"
    claims.write_text("name: mine\nclaims:\n  a: {label: face+, against: 0.2}\n")
    tikval("claim", place.out, str(claims), "--declare")
    place.analyze("--codebook", place.book)
    assert not (report(place) / "claims.html").exists()
    other = tikval("claim", place.out, str(claims), code=1)
    assert "--codebook schwartz-19 tests it" in str(other.exception)
    assert "report: " in tikval("claim", place.out, str(claims), "--codebook", "schwartz-19").output
    assert "schwartz-19" in tikval("claim", place.out, "--list").output
