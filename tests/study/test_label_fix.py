"""A label that was seen to be wrong: corrected where it stands, with who and why, and everything made anew."""

import csv
import json
import stat
from pathlib import Path

import pytest

from tests.fixtures.offline import tikval, without_ray
from tests.study.test_one_study import Place
from tikval.annotate.corrections import correction_history
from tikval.cli.job import JOBS
from tikval.config import CatalogConfig
from tikval.sources.write_catalog import write_catalog
from tikval.store.runs import Study

WHY = "the joke was\n<b>taken</b> at its word"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    without_ray(monkeypatch)
    monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)
    return Place(tmp_path)


def states(place: Place) -> dict[str, str]:
    return {folder.uri: run.state for folder, run in Study(place.out).runs}


def listed(place: Place, labels: str) -> None:
    """A study that has its videos and annotations, and nothing more."""
    write_catalog(CatalogConfig(videos=str(place.videos), out=place.out, annotations=labels))


def fix(place: Place, *words: str, by: str = "Evelyn", why: str = WHY, code: int = 0) -> str:
    done = tikval("annotate", "fix", place.out, *words, "--by", by, "--why", why, code=code)
    return str(done.exception) if code else done.output


def test_a_label_is_corrected_and_scores_and_report_are_made_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = Path(place.labels("labels.csv", "face", "humility", annotators=("bob", "ann")))
    labels.chmod(0o640)
    place.analyze("--annotations", str(labels), "--annotator", "ann")
    text, before = labels.read_text(), states(place)
    for job in ("write_scripts", "extract_values"):  # nobody is asked again
        monkeypatch.setitem(JOBS, job, JOBS[job]._replace(call="nowhere:nothing"))
    shown = fix(place, "v2", "face=absent")  # of the two whose labels are the truth
    assert "labels.csv, line 9, column face: face endorsed -> absent" in shown
    assert labels.read_text() == text.replace("v2,ann,1,", "v2,ann,0,")
    assert stat.S_IMODE(labels.stat().st_mode) == 0o640
    changed = {
        Path(uri).name.partition("-")[0] for uri, state in states(place).items() if state != before[uri]
    }
    assert changed == {"catalog", "scores"}
    assert "macro F1 of local: " in shown
    latest = Study(place.out).latest("report")
    assert latest is not None
    page = Path(latest[0].uri, "index.html").read_text()
    assert "1 label was corrected after annotation" in page
    pages = [path.read_text() for path in Path(latest[0].uri).rglob("*.html")]
    assert not [page for page in pages if "Evelyn" in page or "joke" in page]
    (one,) = correction_history(place.out)
    assert (one.by, one.why, one.line) == ("Evelyn", "the joke was <b>taken</b> at its word", 9)
    assert "the joke was <b>taken</b>" in " ".join(tikval("annotate", "history", place.out).output.split())

    catalog = Study(place.out).catalog()  # as the table says it, the analysis says it
    now = catalog.finished()
    listed(place, str(labels))
    assert catalog.finished().state == now.state


def test_a_command_that_was_killed_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = place.labels("labels.csv", "face")
    listed(place, labels)
    with monkeypatch.context() as patch:
        patch.setattr(
            "tikval.study.label_fix.read_labels_again", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        tikval("annotate", "fix", place.out, "v0", "face=confronted", "--by", "eve", "--why", "x", code=130)
    assert "as it is already: face" in fix(place, "v0", "face=confronted", why="x")
    stances = {
        row["video_id"]: row["stances"] for row in Study(place.out).catalog().read_side_table("labels")
    }
    assert -1 in stances["v0"]
    assert len(correction_history(place.out)) == 1


def test_of_several_annotators_one_is_named(place: Place) -> None:
    labels = place.labels("labels.csv", "face", annotators=("ann", "bob"))
    listed(place, labels)
    assert "several annotators (ann, bob): name one with --annotator" in fix(
        place, "v0", "face=absent", code=1
    )
    fix(place, "v0", "face=dominant", "--annotator", "bob")
    fix(place, "v0", "face=confronted", "--annotator", "ann")
    assert [(one.annotator, one.after) for one in correction_history(place.out)] == [
        ("bob", "dominant"),
        ("ann", "confronted"),
    ]
    assert "carl did not annotate v0; there are ann, bob" in fix(
        place, "v0", "face=absent", "--annotator", "carl", code=1
    )


MISTAKES = {
    ("v9", "face=absent"): "no video v9",
    ("v5", "face=absent"): "v5 is not annotated",
    ("v0", "fase=absent"): "no value 'fase'; is face meant?",
    ("v0", "face=yes"): "'yes' is not a stance",
    ("v0", "face"): "a correction is VALUE=STANCE",
    ("v0", "face=absent", "face=endorsed"): "two stances",
    ("v0", "tradition=absent"): "no column tradition",
}


def test_a_mistake_changes_nothing(place: Place) -> None:
    labels = Path(place.labels("labels.csv", "face"))
    listed(place, str(labels))
    before = (labels.read_bytes(), states(place))
    for words, told in MISTAKES.items():
        assert told in fix(place, *words, code=1)
    assert "--why: empty" in fix(place, "v0", "face=absent", why=" ", code=1)
    assert (labels.read_bytes(), states(place)) == before
    assert not correction_history(place.out)


def test_a_table_that_has_changed_or_is_gone_is_not_taken_in(place: Place) -> None:
    labels = Path(place.labels("labels.csv", "face"))
    listed(place, str(labels))
    labels.write_text(labels.read_text().replace("v1,ann,0", "v1,ann,2"))
    assert "has changed since the study has read it; run the analysis again" in fix(
        place, "v0", "face=absent", code=1
    )
    labels.unlink()
    assert "that file is gone" in fix(place, "v0", "face=absent", code=1)


def test_what_cannot_be_changed_is_not_noted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Path(place.labels("labels.csv", "face"))
    labels.with_suffix(".json").write_text(json.dumps(list(csv.DictReader(labels.open()))))
    listed(place, str(labels.with_suffix(".json")))
    told = "line 1, column face: only text (CSV, TSV) and workbooks are changed by tikval; change it there"
    assert told in fix(place, "v0", "face=absent", code=1)
    assert not Path(place.out, "corrections.jsonl").exists()
    listed(place, str(labels))
    monkeypatch.setattr(
        "shutil.copymode", lambda *_: (_ for _ in ()).throw(PermissionError(1, "not allowed"))
    )
    assert "labels.csv: cannot be changed (not allowed)" in fix(place, "v0", "face=absent", code=1)
    assert not Path(place.out, "corrections.jsonl").exists()
    assert {path.name for path in place.root.glob(".tmp-*")} == set()


def test_a_merged_table_keeps_its_corrections_for_the_next_merge(place: Place) -> None:
    merged = place.root / "coding" / "merged"
    merged.mkdir(parents=True)
    (merged.parent / "protocol.json").write_text("{}")
    listed(place, place.labels("coding/merged/labels.csv", "face"))
    fix(place, "v0", "face=confronted")
    assert (merged / "corrections.jsonl").read_text() == Path(place.out, "corrections.jsonl").read_text()
