"""The report page: nothing from outside becomes markup, failures come first, every video once."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.scoring import predict_everything, score_system
from tests.test_metrics import said, true
from tikval.evaluate.scores import BASELINE, coverage
from tikval.report.page import CARDS_SHOWN, render_page
from tikval.report.record import Card, Failure, Report, frequency
from tikval.values import binary

EVIL = "<script>alert(1)</script>"
LABELS = ("a+", "b+", "a-", "b-")
TRUTH = {"one": (1, 0), "two": (0, -1), "three": (0, 0), "four": (2, -1)}
VOID = {"meta", "link", "br", "hr", "img", "input", "col"}

PREDICTIONS = [
    said("one", [True, True, False, False]),
    said("two", [False, False, False, False]),
    said("three", [False, False, False, False]),
    said("four", None, error="unreadable"),
]


class Page(HTMLParser):
    """Tags that are opened and never closed, all text, and the text and attributes by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.card_titles: list[str] = []
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
        if self.open[-3:] == ["header", "h3", "bdi"]:
            self.card_titles.append(data)


def report() -> Report:
    truth = [true(video, *stances) for video, stances in TRUTH.items()]
    return Report(
        title="Four videos",
        facts=(("Run", "2025-11-22"),),
        command="tikval analyze videos --out out",
        labels=LABELS,
        titles={"a": "Value A", "b": "Value B"},
        systems=(("s", "a fake"),),
        coverage=(("s", coverage(PREDICTIONS)),),
        failures=(Failure("four", "scripts", "unreadable", "no demuxer"),),
        frequencies=(
            frequency("s", (p["decisions"] for p in PREDICTIONS if p["decisions"]), len(LABELS)),
            frequency("people", map(binary, TRUTH.values()), len(LABELS), annotated=True),
        ),
        scores=(
            *score_system(PREDICTIONS, truth, LABELS, 0.05, "s"),
            *predict_everything(truth, LABELS, 0.05),
        ),
        cards=tuple(
            Card(p["video_id"], 61.0, "SPEAKER: hello\n[CAPTIONS] DAY 1", predictions=(p,), annotated=stances)
            for p, stances in zip(PREDICTIONS, TRUTH.values(), strict=True)
        ),
    )


def card_of(html: str, n: int) -> str:
    """Text of the n-th card, with its white space made single."""
    page = html.split("<article")[n].split("</article>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", "<" + page).split())


def test_tags_are_balanced_and_nothing_is_fetched_or_run() -> None:
    page = Page(render_page(report()))
    assert page.open == []
    assert page.crossed == []
    assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attrs), tag
        link = attrs.get("href") or attrs.get("src") or "#"
        assert link.startswith("#") or (tag, link) == ("link", "data:,")
    (policy,) = (a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"] for t, a in page.tags if t == "a"} <= {f"#{name}" for name in ids}


def test_every_string_from_outside_is_text() -> None:
    evil = said(EVIL, [True, False, False, True])
    evil["system"] = evil["notes"] = EVIL
    page = Page(
        render_page(
            replace(
                report(),
                title=EVIL,
                notice=EVIL,
                facts=((EVIL, EVIL),),
                command=EVIL,
                titles={"a": EVIL, "b": EVIL},
                systems=((EVIL, EVIL),),
                exports=((EVIL, EVIL),),
                coverage=((EVIL, coverage([said("x", None, error=EVIL)])),),
                failures=(Failure(EVIL, EVIL, EVIL, EVIL),),
                frequencies=(frequency(EVIL, [[True] * 4], 4), frequency(EVIL, [[True] * 4], 4)),
                cards=(
                    Card(
                        EVIL,
                        script=f"{EVIL}\n[CAPTIONS] {EVIL}\n[{EVIL}]",
                        caption=EVIL,
                        account=f'"{EVIL}',
                        predictions=(evil,),
                    ),
                ),
                show_accounts=True,
            )
        )
    )
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(EVIL) >= 20
    assert f'by "{EVIL}' in page.text
    assert page.open == page.crossed == []


def test_control_characters_and_lone_surrogates_do_not_break_the_file() -> None:
    odd = replace(report(), cards=(Card("a\x00b\udcff\x1b[31m"),))
    html = render_page(odd)
    assert "a\ufffdb\ufffd\ufffd[31m" in html
    html.encode("utf-8")


def test_accounts_are_hidden_unless_asked_for() -> None:
    card = Card(
        "one", script="HOST: I am Jane.Doe, see @other.person", caption="by jane.doe", account="jane.doe"
    )
    one = replace(report(), cards=(card,), failures=(Failure("one", "s", "timeout", "/data/jane.doe/1.mp4"),))
    hidden = render_page(one).lower()
    assert "jane.doe" not in hidden
    assert "@other.person" not in hidden
    assert "by @someone" in hidden
    shown = render_page(replace(one, show_accounts=True))
    assert "Jane.Doe" in shown
    assert "@other.person" in shown


def test_failures_stand_above_scores_and_say_what_to_do() -> None:
    html = render_page(report())
    places = [
        html.index(f'id="{name}"') for name in ("run", "coverage", "failures", "values", "scores", "videos")
    ]
    assert places == sorted(places)
    failures = html[places[2] : places[3]]
    assert 'href="#video-4"' in failures
    for text in ("unreadable", "terminal", "no demuxer"):
        assert text in failures
    retry = replace(report(), failures=(Failure("four", "s", "timeout"),))
    assert "retryable" in Page(render_page(retry)).text


def test_every_video_has_one_card_and_the_page_stays_small() -> None:
    page = Page(render_page(report()))
    assert page.card_titles == list(TRUTH)
    many = replace(report(), cards=tuple(Card(f"v{i}") for i in range(CARDS_SHOWN + 50)), n_videos=10_000_000)
    page = Page(render_page(replace(many, exports=(("Predictions", "out/predictions.parquet"),))))
    assert page.card_titles == [f"v{i}" for i in range(CARDS_SHOWN)]
    assert f"The first {CARDS_SHOWN} of 10,000,000 videos" in page.text
    assert "out/predictions.parquet" in page.text
    with pytest.raises(ValueError, match="v1"):
        render_page(replace(report(), cards=(Card("v1"), Card("v1"))))


def test_cards_mark_hits_misses_and_false_alarms_in_words() -> None:
    html = render_page(report())
    one, two, three, four = (card_of(html, n) for n in (1, 2, 3, 4))
    assert "1 hit, 0 missed, 1 false alarm" in one
    assert re.search(r"endorsed: Value A 1.00 ✓ hit", one)
    assert re.search(r"endorsed: Value B 1.00 ✗ false alarm", one)
    assert re.search(r"confronted: Value B ○ missed", two)
    assert "Abstained" in three
    assert "Failed in scripts: unreadable" in four
    assert "No result: unreadable" in four
    assert "absent" not in four.lower()  # a failure is no stance


def test_a_label_that_is_not_modelled_is_not_missed() -> None:
    blind = said("two", [False, False, False, None])
    html = render_page(replace(report(), cards=(Card("two", predictions=(blind,), annotated=(0, -1)),)))
    assert "not modelled" in card_of(html, 1)
    assert "0 missed" in card_of(html, 1)


def test_scores_stand_beside_the_baseline_or_say_that_there_are_none() -> None:
    text = Page(render_page(report())).text
    assert "Predict everything" in text
    assert re.search(r"\d\.\d\d to \d\.\d\d", text)  # the bounds for the failed video
    alone = tuple(row for row in report().scores if row["system"] != BASELINE)
    with pytest.raises(ValueError, match=BASELINE):
        render_page(replace(report(), scores=alone))
    none = Page(render_page(replace(report(), scores=(), frequencies=()))).text
    assert "No annotations were given, so nothing is scored" in none
    assert "Predict everything" not in none


def test_chart_counts_are_text_and_differ_with_the_input() -> None:
    assert frequency("s", [[True, None], [False, None]], 2).endorsed == (1,)
    assert frequency("s", [[True, None], [False, None]], 2).confronted == (None,)
    assert frequency("s", [], 2).videos == 0
    html = render_page(report())
    chart = html[html.index('id="values"') : html.index('id="scores"')]
    assert "n = 3" in chart  # results of the system
    assert "n = 4" in chart  # annotated videos
    assert '<b>2</b> <span class="quiet">50 %</span>' in chart


def test_nothing_came_in() -> None:
    empty = replace(report(), cards=(), scores=(), frequencies=(), failures=(), coverage=(), systems=())
    page = Page(render_page(empty))
    assert "Nothing failed" in page.text
    assert "No video came in" in page.text
    assert page.open == page.crossed == []


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")
def test_fits_a_phone_and_its_policy_lets_its_style_in(tmp_path: Path) -> None:
    card = Card("x" * 150, script=f"{EVIL} " + "y" * 300, caption=EVIL)
    html = render_page(replace(report(), cards=(*report().cards, card)))
    # Chromium's own window is at least 500 px wide, a frame is not; the page in it is as it was rendered.
    frame = """<!doctype html><title></title>
    <iframe id="frame" width="375" height="800" frameborder="0"></iframe>
    <script>
        frame.onload = () => {
            const page = frame.contentDocument.documentElement, view = frame.contentWindow;
            const nav = view.getComputedStyle(page.querySelector("nav"));
            document.title = [view.innerWidth, page.scrollWidth, nav.position].join();
        };
        frame.srcdoc = PAGE;
    </script>""".replace("PAGE", json.dumps(html).replace("<", "\\u003c"))
    (tmp_path / "frame.html").write_text(frame, encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --window-size=375,800 --dump-dom"
    command = ["chromium", *flags.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, (tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title is not None
    view_px, page_px, position = title[1].split(",")
    assert int(page_px) <= int(view_px) == 375
    assert position == "sticky"
