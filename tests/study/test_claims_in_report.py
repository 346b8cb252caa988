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
    assert (report(place) / "run.json").read_bytes() != before

    tikval("claim", place.out, str(claims), "--declare")
    assert "1 claim, not tested yet" in _words(place)
    tikval("claim", place.out, str(claims))
    assert "too few labels" in _words(place)
    made = (report(place) / "run.json").read_bytes()
    tikval("claim", place.out, str(claims))
    assert (report(place) / "run.json").read_bytes() == made, "nothing new"
    index = Page((report(place) / "index.html").read_text())
    assert "claims.html#mine--a" in index.links


def _words(place: Place) -> str:
    return Page((report(place) / "claims.html").read_text()).words
