"""What speaks for each label on a video's page: checked quotes, marked where they stand, and no invented ones."""

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.site import KEYS, PREDICTIONS, card, files, report, video
from tikval.config import CatalogConfig, EvaluateConfig, ExtractConfig, ReportConfig, ScriptConfig
from tikval.report.site.evidence import evidence_of
from tikval.report.site.players import GONE, ON_A_STORE, WITHHELD, player_of
from tikval.report.site.record import Card, Report
from tikval.rows import Passage

SCRIPT = "SOUND: yes\n\nJANE: We won the race. We are proud.\n\n[THE BEST TEAM EVER]\nShe hugs her mother."
CAPTION = "Thank you all for this day #win"
INVENTED = "nobody ever uttered these words"


def passage(quote: str | None, label: str = "a+", source: str = "speech", **keys: Any) -> Passage:
    made = {"start": None, "end": None, "weight": None, "in_script": None}
    return Passage(label=label, source=source, quote=quote, **{**made, **keys})  # type: ignore[typeddict-item]


def judged(*evidence: Passage, **keys: Any) -> tuple[Card, Report]:
    row = {**PREDICTIONS[0], "evidence": list(evidence)}
    made = {"script": SCRIPT, "caption": CAPTION, "predictions": (row,), "recognised": SCRIPT, **keys}
    one = card("one", **made)
    return one, report(cards=(one,))


def passages(*evidence: Passage, **keys: Any) -> list[dict[str, Any]]:
    one, of = judged(*evidence, **keys)
    return evidence_of(one, one.predictions[0], of)["a+"]


def html(*evidence: Passage, **keys: Any) -> str:
    return files(judged(*evidence, **keys)[1])[f"videos/{KEYS['one']}.html"].decode()


@pytest.mark.parametrize(
    ("quote", "source", "words", "line"),
    [
        ("We won the race.", "speech", "spoken", "line-3"),
        ("THE BEST TEAM EVER", "on_screen", "text in the picture", "line-5"),
        ("She hugs her mother.", "action", "action line", "line-6"),
        ("Thank you all", "caption", "caption", "caption"),
    ],
)
def test_a_passage_says_what_where_and_leads_to_its_line(
    quote: str, source: str, words: str, line: str
) -> None:
    (one,) = passages(passage(quote.lower(), source=source))
    assert (one["quote"], one["source"], one["status"]) == (quote, words, "found")  # spelt as it stands there
    assert one["link"] == f"videos/{KEYS['one']}.html#{line}"
    page = video(judged(passage(quote, source=source))[1], "one")
    ids = [attrs.get("id") for _, attrs in page.tags]
    assert ids.count(line) == 1
    assert f"../{one['link']}" in page.links


@pytest.mark.parametrize(
    ("given", "lines", "more", "text"),
    [
        ({"start": 12.0, "end": 15.4}, (), {}, "0:12\u20130:15"),
        ({"start": 12.0}, (), {}, "0:12"),
        ({}, (None, None, 3.0, None, 8.0, None), {}, "0:03"),
        ({"start": 12.0}, (), {"is_photos": True}, None),
        ({"start": 99.0}, (), {"seconds": 61.0}, None),  # later than the video is long
        ({"start": float("nan")}, (), {}, None),
        ({}, (), {}, None),
    ],
)
def test_times_are_of_the_passage_else_of_its_line(
    given: dict[str, Any], lines: tuple[float | None, ...], more: dict[str, Any], text: str | None
) -> None:
    (one,) = passages(passage("we won the race", **given), line_starts=lines, **more)
    assert one["time"] == text


@pytest.mark.parametrize("in_script", [True, False, None])
def test_an_invented_quote_is_nowhere_in_the_site_but_its_count_is(in_script: bool | None) -> None:
    given = passage(INVENTED, in_script=in_script), passage("we won the race", in_script=in_script)
    one, of = judged(*given)
    assert [each["quote"] for each in evidence_of(one, one.predictions[0], of)["a+"]] == [
        None,
        "We won the race.",
    ]
    made = files(of)
    assert not any(b"nobody ever uttered" in data for data in made.values())
    page = video(of, "one")
    assert "1 quote left out: not found in the post" in " ".join(page.words.split())


def test_a_picture_has_a_time_and_no_quote() -> None:
    (one,) = passages(passage("a hug at the finish", source="picture", start=4.0))
    assert (one["quote"], one["source"], one["time"]) == (None, "picture", "0:04")


def test_what_was_not_decided_has_no_evidence() -> None:
    one, of = judged(passage("we won the race", label="a-"), passage("we won the race", label="no such+"))
    assert evidence_of(one, one.predictions[0], of) == {}


def test_handles_in_quotes_and_scripts_are_hidden_alike() -> None:
    script = "JANE: Thanks to @jane_doe for the great win."
    given = passage("Thanks to @someone for the great win."), passage("jane_doe for the great win")
    page = html(*given, script=script, recognised=script, account="jane_doe")
    assert "jane_doe" not in page
    assert '<q dir="auto">“Thanks to @someone for the great win.”</q>' in page


def test_a_sentence_is_marked_with_every_label_that_it_speaks_for() -> None:
    page = html(
        passage("We won the race."),
        passage("won the race", label="b+"),
        passage("We won the race. We are proud."),
        script=SCRIPT.replace("race", "race <&>"),
    )
    assert "<&>" not in page
    line = page.split('id="line-3"')[1].split("</p>")[0]
    assert line.count("<mark") == line.count("</mark>") >= 3
    for name in ("Value A", "Value B"):
        assert f"(evidence, endorsed: </span>{name}" in line


def test_each_system_is_checked_against_the_script_that_it_judged() -> None:
    other = "MAN: Something else was heard here."
    (one,) = passages(passage("Something else was heard"), scripts_of={"s": other}, recognised=other)
    assert (one["quote"], one["link"]) == ("Something else was heard", None)  # the page shows another script
    (one,) = passages(passage("we won the race"), scripts_of={"s": other}, recognised=other)
    assert one["quote"] is None


def test_without_evidence_the_page_says_so() -> None:
    assert "No evidence: the system gives none" in video(report(), "one").text


def test_the_page_leads_to_the_one_before_and_after() -> None:
    def turns(name: str) -> list[tuple[str | None, str | None]]:
        page = video(report(), name)
        return [(a["rel"], a["href"]) for tag, a in page.tags if tag == "a" and "rel" in a]

    assert turns("one") == [("next", f"{KEYS['two']}.html")]
    assert turns("two") == [("prev", f"{KEYS['one']}.html"), ("next", f"{KEYS['three']}.html")]
    assert turns("four") == [("prev", f"{KEYS['three']}.html")]


def test_players_are_of_files_that_may_be_shown(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    scripts = ScriptConfig(videos=CatalogConfig(videos="v", out=out), out=out)
    system = ExtractConfig(scripts=scripts, out=out, system="local")
    config = ReportConfig(scores=EvaluateConfig(predictions=(system,), out=out), out=out, show_videos=True)
    for name in ("a b#1.mp4", "jane.doe.mp4"):
        (tmp_path / name).write_bytes(b"x")

    def player(name: str, to: ReportConfig = config, names: bool = False, **keys: Any) -> Any:
        made = {"path": str(tmp_path / name), "account": "jane.doe", "files": None, "is_minor": None, **keys}
        return player_of(made, to, names=names)  # type: ignore[arg-type]

    assert player("a b#1.mp4") == ("../../../a%20b%231.mp4", None)
    assert player("jane.doe.mp4") == (None, WITHHELD)
    assert player("a b#1.mp4", names=True) == (None, WITHHELD)
    named = config.model_copy(update={"show_accounts": True})
    assert player("jane.doe.mp4", named) == ("../../../jane.doe.mp4", None)
    assert player("a b#1.mp4", named, is_minor=True) == (None, WITHHELD)
    assert player("a b#1.mp4", files=["1.jpg"]) == (None, None)
    assert player("gone.mp4") == (None, GONE)
    assert player("a b#1.mp4", config.model_copy(update={"show_videos": False})) == (None, None)
    assert player("x", path="s3://bucket/a.mp4") == (None, ON_A_STORE)
    assert player("a b#1.mp4", config.model_copy(update={"out": "s3://bucket/out"})) == (None, ON_A_STORE)


def test_a_page_admits_media_only_where_it_has_a_player() -> None:
    def policy(**keys: Any) -> str:
        return html(**keys).split("Content-Security-Policy")[1].split(">")[0]

    assert "media-src" not in policy()
    assert "media-src &#39;self&#39;" in policy(video="../../a.mp4")
    assert "No player: the file is gone." in video(judged(no_video=GONE)[1], "one").text
