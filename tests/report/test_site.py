"""The site of a report: nothing from outside becomes markup, failures are named, every video has its page."""

import hashlib
import json
import posixpath
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.site import (
    EVIL,
    FAILURE,
    KEYS,
    PAGES,
    TRUTH,
    Page,
    card,
    files,
    pages,
    rate,
    report,
    video,
)
from tests.stats.test_metrics import predicted
from tikval.evaluate.scores import BASELINE, coverage
from tikval.report.site.pages import FAILURES_SHOWN, NUMBERS_SHOWN, POLICY
from tikval.report.site.record import Account, Bill, Card, Chart, Failure, Pair, Report, SystemRates
from tikval.rows import SliceRow
from tikval.stats.circle import Confusion


def test_every_link_leads_to_a_file_of_the_site_and_nothing_to_elsewhere() -> None:
    written = files(report())
    drawn = {f"charts/figure2_occurrences.{suffix}" for suffix in ("svg", "png", "pdf", "csv")}
    for name, data in written.items():
        if not name.endswith(".html"):
            continue
        for link in Page(data.decode()).links:
            if link.startswith(("#", "data:,")):
                continue
            assert "//" not in link
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link.partition("#")[0]))
            assert target in written or target in drawn, f"{name}: {link}"


def test_a_strict_policy_holds_on_every_page() -> None:
    for name, page in pages(report()).items():
        (policy,) = (a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
        assert policy == POLICY, name
        assert not {"iframe", "object", "embed", "base", "style"} & {tag for tag, _ in page.tags}
        for tag, attrs in page.tags:
            assert not any(key.startswith("on") or key == "style" for key in attrs), (name, tag)
            assert tag != "script" or attrs.get("src"), "a script in the page"
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids)), name
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'")


def hostile_charts() -> tuple[Chart, ...]:
    step = dict.fromkeys(("what", "model", "how"), EVIL)
    return (
        Chart("circle", EVIL, EVIL, f'"{EVIL}",b\n"{EVIL}",1\n'.encode(), {"kind": EVIL}),
        Chart(
            "figure3_pipelines",
            EVIL,
            EVIL,
            b"a\n",
            {"kind": "pipelines", "systems": [{"name": EVIL, "steps": [step]}]},
        ),
    )


def hostile_slices() -> tuple[SliceRow, ...]:
    sliced = {
        "system": EVIL,
        "slice": EVIL,
        "value": 0.1,
        "lower": None,
        "upper": None,
        "why_none": EVIL,
        "baseline": None,
        "n_labels": 1,
        "labels": [EVIL],
        "n_videos": 1,
        "n_groups": 1,
    }
    return tuple(
        SliceRow(**sliced, by=by, metric=m)  # type: ignore[typeddict-item]
        for by in ("genre", "without_genre", "difference", "drop")
        for m in ("macro_f1", "weighted_f1", "common_f1")
    )


def hostile_card(failure: Failure) -> Card:
    evil = predicted(EVIL, [True, False, False, True])
    evil["system"] = evil["notes"] = EVIL
    return Card(
        EVIL,
        KEYS["one"],
        script=f"{EVIL}\n[CAPTIONS] {EVIL}\n[{EVIL}]",
        caption=EVIL,
        account=f'"{EVIL}',
        genre=EVIL,
        month=EVIL,
        failures=(failure,),
        predictions=(evil,),
    )


def hostile_report() -> Report:
    """A report in which every string from outside is EVIL."""
    failure = Failure(EVIL, EVIL, EVIL, EVIL, KEYS["one"])
    return report(
        title=EVIL,
        notice=EVIL,
        facts=((EVIL, EVIL),),
        command=EVIL,
        titles={"a": EVIL, "b": EVIL},
        systems=((EVIL, EVIL),),
        exports=((EVIL, EVIL),),
        bills=(Bill(EVIL, EVIL, 1, None, 0.1, 0.0),),
        coverage=((EVIL, coverage([predicted("x", None, error=EVIL)])),),
        failures=(failure,),
        notes=(EVIL,),
        rates=(SystemRates(EVIL, EVIL, False, (rate("a+", 0.5),), (Confusion(EVIL, EVIL, 1, 1, 1, 1, 1),), (EVIL,)),),
        charts=hostile_charts(),
        accounts=(Account(EVIL, EVIL, 1, 0, 0, {EVIL: ((f"{EVIL}+", 0.5),)}),),
        slices=hostile_slices(),
        cards=(hostile_card(failure),),
        show_accounts=True,
    )  # fmt: skip


def test_every_string_from_outside_is_text() -> None:
    hostile = hostile_report()
    total = 0
    for name, data in files(hostile).items():
        if name.endswith(".html"):
            page = Page(data.decode())
            assert page.open == page.crossed == [], name
            assert not any(tag == "script" and not attrs.get("src") for tag, attrs in page.tags), name
            total += page.text.count(EVIL)
        elif name.startswith("data/"):
            assert b"<" not in data, name
    assert total >= 50
    assert f'"{EVIL}' in video(hostile, EVIL).text


def test_control_characters_and_lone_surrogates_do_not_break_a_file() -> None:
    odd = report(cards=(Card("a\x00b\udcff\x1b[31m", KEYS["one"]),), failures=())
    shown = files(odd)
    assert "a\ufffdb\ufffd\ufffd[31m" in shown[f"videos/{KEYS['one']}.html"].decode()
    assert "\\ufffd" in shown["data/videos.js"].decode()


def test_a_page_is_named_by_the_row_key_and_by_nothing_else() -> None:
    for key in ("", "../../etc/passwd", "A" * 32, f"{KEYS['one']}/x"):
        with pytest.raises(ValueError, match="not a row key"):
            files(report(cards=(Card("one", key),)))
    with pytest.raises(ValueError, match="two cards of one video: one"):
        files(report(cards=(card("one"), card("one", key=KEYS["two"]))))


def test_accounts_are_hidden_unless_asked_for() -> None:
    text = "HOST: I am Jane.Doe, see @other.person"
    mine = card("one", script=text, caption="by jane.doe", account="jane.doe")
    one = report(cards=(mine,), failures=(Failure("one", "s", "timeout", "/data/jane.doe/1.mp4"),))
    for name, data in files(one).items():
        if name.startswith("assets/"):
            continue
        hidden = data.decode().lower()
        assert "jane.doe" not in hidden, name
        assert "@other.person" not in hidden, name
    assert "by @someone" in video(one, "one").text
    assert "account 1" in pages(one)["accounts.html"].text
    assert "account 1" in video(one, "one").text
    shown = pages(replace(one, show_accounts=True))
    assert "Jane.Doe" in shown[f"videos/{KEYS['one']}.html"].text
    assert "@other.person" in shown[f"videos/{KEYS['one']}.html"].text
    assert "jane.doe" in shown["accounts.html"].text


def test_failures_say_what_to_do_and_lead_to_the_video() -> None:
    found = pages(report())
    page = found["failures.html"]
    assert f"videos/{KEYS['four']}.html" in page.links
    for text in ("unreadable", "terminal", "no demuxer"):
        assert text in page.text
    for name in PAGES:
        assert "Failures 1" in found[name].words, name
    retry = report(failures=(replace(FAILURE, reason="timeout"),))
    assert "retryable" in pages(retry)["failures.html"].text
    many = report(failures=tuple(Failure(f"v{i}", "s", "timeout") for i in range(FAILURES_SHOWN + 7)))
    assert "7 more failures are not listed here" in pages(many)["failures.html"].words
    none = pages(report(failures=(), coverage=()))
    assert "Nothing failed" in none["failures.html"].text


def test_every_video_has_a_page() -> None:
    one = report(n_videos=10_000_000)
    found = files(one)
    assert {name for name in found if name.startswith("videos/")} == {
        f"videos/{key}.html" for key in KEYS.values()
    }
    assert "10,000,000 videos" in Page(found["index.html"].decode()).words
    assert "1:01" in video(one, "one").text
    pictured = report(cards=(card("one", pictures=2),))
    assert [link for link in video(pictured, "one").links if "pictures" in link] == [
        f"../pictures/{KEYS['one']}-1.jpg",
        f"../pictures/{KEYS['one']}-2.jpg",
    ]
    assert not any("pictures/" in link for link in video(one, "one").links)


def test_pages_mark_hits_misses_and_false_alarms_in_words() -> None:
    one, two, three, four = (video(report(), name).words for name in TRUTH)
    assert "1 hit, 0 missed, 1 false alarm" in one
    assert "endorsed: Value A score 1.000 (threshold not kept) ✓ hit" in one
    assert "endorsed: Value B score 1.000 (threshold not kept) ✗ false alarm" in one
    assert "confronted: Value B ○ missed" in two
    assert "Abstained" in three
    assert "Failed in scripts: unreadable" in four
    assert "No result: unreadable" in four
    assert "absent" not in four.lower()  # a failure is no stance


def test_a_label_that_is_not_modelled_is_not_missed() -> None:
    blind = report(cards=(card("two", predictions=(predicted("two", [False, False, False, None]),)),))
    assert "not modelled" in video(blind, "two").words
    assert "0 missed" in video(blind, "two").words


def test_scores_stand_with_the_baseline_or_say_that_there_are_none() -> None:
    found = pages(report())
    for name in ("index.html", "systems.html"):
        assert "Predict everything" in found[name].text
        assert " to 0." in found[name].words  # the bounds for the failed video
    alone = tuple(row for row in report().scores if row["system"] != BASELINE)
    with pytest.raises(ValueError, match=BASELINE):
        files(report(scores=alone))
    none = pages(report(scores=()))
    for name in ("index.html", "systems.html"):
        assert "No annotations were given, so nothing is scored" in none[name].text
        assert "Predict everything" not in none[name].text


def test_rates_stand_with_their_corrections_and_what_is_not_modelled_is_no_rate() -> None:
    words = pages(report())["values.html"].words
    assert "Value A 33 % [16.7, 66.7] 25 % [15.0, 35.0] 0.0 % [0.0, 0.0]" in words
    assert "Value B 33 % [16.7, 66.7] \u2013 not modelled" in words
    assert "not corrected for model error" in words
    assert "s + endorsed elsewhere 1 0.5 2.00 [1.50, 2.50]" in words


def test_a_chart_comes_with_its_numbers_and_its_files() -> None:
    found = files(report())
    page = Page(found["values.html"].decode())
    assert ("div", {"class": "plot", "data-chart": "figure2_occurrences"}) in page.tags
    assert "value count A 1" in page.words
    assert json.loads(found["data/charts.js"].decode().partition("tikval.charts = ")[2].rstrip(";\n")) == {
        "figure2_occurrences": {"kind": "x"}
    }
    long = Chart("circle", "C", "c", b"n\n" + b"1\n" * (NUMBERS_SHOWN + 1), {"kind": "circle"})
    assert "1 more line is in the CSV" in pages(report(charts=(long,)))["values.html"].words
    assert "assets/echarts.min.js" not in pages(report(charts=()))["values.html"].links


def test_what_was_paid_is_told() -> None:
    words = pages(report(bills=(Bill("scripts", "m", 1200, 1.5, 1.25, 0.01),)))["index.html"].words
    assert "scripts m 1,200 1.5000 1.2500 0.0100" in words
    assert "Tokens of input" not in words, "an account of before counted none"


@pytest.mark.parametrize(
    ("cached_usd", "saved"), [(0.9, "0.8800"), (0.01, "-0.0100 (the cache cost more than it saved)")]
)
def test_what_caching_saved_is_told_also_where_it_is_less_than_nothing(cached_usd: float, saved: str) -> None:
    bill = Bill("scripts", "m", 100, 1.5, 1.25, 0.0, 1_500_000, 1_200_000, 0.015, 0.005, cached_usd)
    words = pages(report(bills=(bill,)))["index.html"].words
    assert f"scripts 1,500,000 1,200,000 80.0% 0.0150 0.0050 {saved}" in words


def test_the_gap_between_protocols_is_on_the_systems_page_only() -> None:
    found = pages(report(pairs=(Pair("s", BASELINE),)))
    assert "What the protocol adds" in found["systems.html"].text
    assert "What the protocol adds" not in pages(report())["systems.html"].text


def test_nothing_came_in() -> None:
    empty = report(
        cards=(), scores=(), rates=(), charts=(), failures=(), coverage=(), systems=(), accounts=()
    )
    found = pages(empty)
    assert set(found) == set(PAGES)
    assert "Nothing failed" in found["failures.html"].text
    assert "No account, genre or date is known" in found["accounts.html"].text
    assert "0 videos" in found["index.html"].words


def test_echarts_is_the_release_that_is_named() -> None:
    """A file that nobody here wrote: what is shipped is what was published."""
    data = files(report())["assets/echarts.min.js"]
    assert (
        hashlib.sha256(data).hexdigest() == "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
    )
    named = Path("docs/dependencies.md").read_text()
    assert "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0" in named
