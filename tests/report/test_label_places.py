"""The page of a video names the line that says a label, and what to type to correct it; a name in it is only text."""

import csv
import shlex
from pathlib import Path

import pytest

from tests.fixtures.offline import tikval, without_ray
from tests.fixtures.site import EVIL, Page, card, report, video
from tests.study.test_one_study import Place
from tikval.report.site.label_places import fix_command
from tikval.report.site.record import LabelAt
from tikval.store.runs import Study

PLACES = (LabelAt("a", "endorsed", 17, EVIL), LabelAt("b", "absent", None, "stance"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    without_ray(monkeypatch)
    monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)
    return Place(tmp_path)


def pages(place: Place) -> list[Page]:
    latest = Study(place.out).latest("report")
    assert latest is not None
    return [Page(path.read_text()) for path in sorted(Path(latest[0].uri, "videos").glob("*.html"))]


def commands(place: Place) -> list[str]:
    lines = (line.strip() for page in pages(place) for line in page.text.splitlines())
    return [line for line in lines if line.startswith("tikval annotate fix")]


def test_the_page_names_line_and_column_and_its_command_corrects_the_label(place: Place) -> None:
    labels = place.labels("labels.csv", "face", "humility")
    with Path(labels).open(newline="") as file:
        rows = {row["video_id"]: (n, row) for n, row in enumerate(csv.DictReader(file), start=2)}
    place.analyze("--annotations", labels)
    told = commands(place)
    assert len(told) == len(rows)  # the sixth video is not annotated
    for line in told:
        words = shlex.split(line)
        number, row = rows[words[4]]
        value = next((name for name in ("face", "humility") if row[name] != "0"), "face")
        assert words[5] == f"{value}={'absent' if row[value] != '0' else 'endorsed'}"
        page = next(page for page in pages(place) if line in page.text)
        assert (
            f"face={'endorsed' if row['face'] == '1' else 'absent'} line {number}, column face" in page.words
        )
        assert "labels.csv says, and where" in page.words
    tikval(*shlex.split(told[0])[1:])
    assert told[0] not in commands(place)
    Path(labels).write_text(f"\n{Path(labels).read_text()}")  # lines may have moved: none is named
    place.analyze()
    assert not commands(place)


def test_a_hostile_table_is_text() -> None:
    one = report(cards=(card("one", places=PLACES),), labels_file=f"{EVIL}.csv", out="out; rm -rf $HOME")
    page = video(one, "one")
    assert "script" not in [tag for tag, attrs in page.tags if not attrs.get("src")]
    assert f"{EVIL}.csv says" in page.words
    assert f"Value A a=endorsed line 17, column {EVIL}" in page.words
    assert "Value B b=absent no line of its own, column stance" in page.words
    assert "tikval annotate fix 'out; rm -rf $HOME' one a=absent --by YOU --why 'what is wrong'" in page.words


def test_what_is_typed_is_one_word_each() -> None:
    line = fix_command("out", "-it's $(me)", PLACES[1:], "moral values")
    assert shlex.split(line)[3:] == [
        *(
            "--codebook",
            "moral values",
            "--by",
            "YOU",
            "--why",
            "what is wrong",
            "--",
            "out",
            "-it's $(me)",
            "b=endorsed",
        )
    ]
