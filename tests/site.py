"""A made-up report of four videos, and what its site says."""

from html.parser import HTMLParser

from tests.scoring import predict_everything, score_system
from tests.test_metrics import said, true
from tikval.evaluate.circle import Confusion
from tikval.evaluate.prevalence import Line
from tikval.evaluate.scores import coverage
from tikval.report.pages import site_files
from tikval.report.record import Account, Card, Chart, Failure, Rates, Report

EVIL = "<script>alert(1)</script>"
LABELS = ("a+", "b+", "a-", "b-")
TRUTH = {"one": (1, 0), "two": (0, -1), "three": (0, 0), "four": (2, -1)}
KEYS = {name: f"{n:032x}" for n, name in enumerate(TRUTH, 1)}
VOID = {"meta", "link", "br", "hr", "img", "input", "col"}
PAGES = ("index.html", "systems.html", "values.html", "accounts.html", "videos.html", "failures.html")

PREDICTIONS = [
    said("one", [True, True, False, False]),
    said("two", [False, False, False, False]),
    said("three", [False, False, False, False]),
    said("four", None, error="unreadable"),
]
FAILURE = Failure("four", "scripts", "unreadable", "no demuxer", KEYS["four"])


class Page(HTMLParser):
    """Tags that are opened and never closed, all text, and the text and attributes by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.words = ""  # the same with one space between words, and wherever a tag is
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data
        self.words = f"{self.words} {' '.join(data.split())}".strip()

    @property
    def links(self) -> list[str]:
        named = (attrs.get(name) for _, attrs in self.tags for name in ("href", "src"))
        return [link for link in named if link]


def card(name: str, **keys: object) -> Card:
    row = next(row for row in PREDICTIONS if row["video_id"] == name)
    made = {
        "key": KEYS[name],
        "seconds": 61.0,
        "script": "SPEAKER: hello\n[CAPTIONS] DAY 1",
        "predictions": (row,),
        "annotated": TRUTH[name],
        "failures": (FAILURE,) if name == "four" else (),
    }
    return Card(name, **{**made, **keys})  # type: ignore[arg-type]


def rate(what: str, share: float, corrected: float | None = None) -> Line:
    ends = (None, None) if corrected is None else (corrected - 0.1, corrected + 0.1)
    return Line("all", what, 3, 2, 4, share, share / 2, min(1.0, share * 2), corrected, *ends)


def report(**keys: object) -> Report:
    truth = [true(video, *stances) for video, stances in TRUTH.items()]
    made = {
        "title": "Four videos",
        "facts": (("Run", "2025-11-22"),),
        "command": "tikval analyze videos --out out",
        "labels": LABELS,
        "titles": {"a": "Value A", "b": "Value B"},
        "systems": (("s", "a fake"),),
        "coverage": (("s", coverage(PREDICTIONS)),),
        "failures": (FAILURE,),
        "rates": (
            Rates(
                "s",
                "not corrected for model error",
                False,
                (rate("a+", 1 / 3, 0.25), rate("b+", 1 / 3), rate("a-", 0.0)),
                (Confusion("endorsed", "elsewhere", 1, 0.5, 2.0, 1.5, 2.5),),
                ("a note",),
            ),
        ),
        "charts": (
            Chart("figure2_occurrences", "Occurrences", "How often.", b"value,count\nA,1\n", {"kind": "x"}),
        ),
        "accounts": (Account("jane.doe", "food", 3, 1, 2, {"s": (("a+", 2 / 3),)}),),
        "scores": (
            *score_system(PREDICTIONS, truth, LABELS, 0.05, "s"),
            *predict_everything(truth, LABELS, 0.05),
        ),
        "cards": tuple(card(name) for name in TRUTH),
    }
    return Report(**{**made, **keys})  # type: ignore[arg-type]


def files(one: Report) -> dict[str, bytes]:
    found = list(site_files(one))
    assert len(found) == len({name for name, _ in found}), "a file is written twice"
    return dict(found)


def pages(one: Report) -> dict[str, Page]:
    """Every HTML page, checked for tags that do not match."""
    found = {name: Page(data.decode()) for name, data in files(one).items() if name.endswith(".html")}
    for name, page in found.items():
        assert page.open == page.crossed == [], name
    return found


def video(one: Report, name: str) -> Page:
    key = next(card.key for card in one.cards if card.video_id == name)
    return pages(one)[f"videos/{key}.html"]
