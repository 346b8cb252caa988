"""The page of a video's calls: what was asked, replied and paid, from the ledger; it goes with its report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.site import EVIL, KEYS, Page, card, files, pages, report
from tests.fixtures.trained import IDS, Study, stances
from tikval.ask.prompts import fixed_prompt_of
from tikval.config import EvaluateConfig, ReportConfig
from tikval.evaluate.score_systems import score_systems
from tikval.llm.client import Reply, Usage
from tikval.llm.ledger import Entry, Ledger
from tikval.report.site.record import ShownCall
from tikval.report.site.write import write_report
from tikval.rows import PredictionRow, Reason, sha256
from tikval.store.folder import Folder
from tikval.study.erasure import erase_videos

USAGE = Usage(tokens_in=1200, tokens_cached=1000, tokens_out=34)
REPLY = Reply(f'{{"notes": "by @jane_doe {EVIL}"}}', "gemini-served", USAGE)
ENTRY = Entry("one", REPLY, 0.00125, "2026-03-01T10:20:30+00:00")
CALL = ShownCall("values: s", 0, "gemini-asked", 2, sha256("You judge"), None, ENTRY)


def shown(*calls: ShownCall, **keys: Any) -> Page:
    made = report(
        cards=(card("one", calls=calls),), prompts={sha256("You judge"): f"You judge {EVIL}"}, **keys
    )
    return pages(made)[f"calls/{KEYS['one']}.html"]


def test_a_call_says_what_was_asked_replied_and_paid() -> None:
    words = " ".join(shown(CALL).words.split())
    for told in (
        *(
            "values: s",
            "gemini-asked",
            "gemini-served",
            "2026-03-01 10:20 UTC",
            "1,200, 1,000 of them cached",
        ),
        *("Tokens out 34", "0.001250 USD", "Attempt 2", "SPEAKER: hello", "by @someone"),
    ):
        assert told in words
    assert "jane_doe" not in words
    assert EVIL in words, "as text"


def test_the_shared_part_of_prompts_stands_once_and_the_video_leads_to_its_calls() -> None:
    two = card("two", calls=(CALL,))
    made = report(
        cards=(card("one", calls=(CALL, CALL)), two, card("three")), prompts={CALL.prompt: "You judge it"}
    )
    found = {
        name: data.decode() for name, data in files(made).items() if name.startswith(("calls/", "videos/"))
    }
    assert sum("You judge it" in html for html in found.values()) == 1
    assert sorted(found) == sorted(
        [
            *(f"calls/{KEYS[name]}.html" for name in ("one", "two")),
            f"calls/prompt-{CALL.prompt[:16]}.html",
            *(f"videos/{KEYS[name]}.html" for name in ("one", "two", "three")),
        ]
    )
    link = f"../calls/{KEYS['one']}.html"
    assert link in found[f"videos/{KEYS['one']}.html"]
    assert "../calls/" not in found[f"videos/{KEYS['three']}.html"]


def test_what_is_not_known_is_named() -> None:
    words = shown(replace(CALL, entry=None), replace(CALL, sample=1, prompt="")).words
    assert "sample 2 of 2" in words
    assert "It is not in the study's ledger any more." in words
    assert "has changed since, or its file is gone" in words
    free = replace(ENTRY, cost_usd=None, reply=Reply("", None, Usage(-1), Reason.BLOCKED, "for @jane_doe"))
    words = shown(replace(CALL, entry=free, seen="the video's file")).words
    for told in (
        "none known",
        "not told",
        "Of no use: blocked for @someone",
        "It is empty.",
        "the video's file",
    ):
        assert told in words
    assert "SPEAKER: hello" not in words


def test_the_calls_of_a_study_come_from_its_ledger_and_go_with_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tikval.report.figures.gather.SUFFIXES", ("svg",))
    study = Study(tmp_path)
    system = study.asked("gemini", lambda name: stances(1, 0))
    sha = sha256(fixed_prompt_of(system))
    keys = {IDS[0]: f"{'a' * 32} {'b' * 32}", IDS[1]: "c" * 32}
    rows = Folder(system.folder).read().to_pylist()
    study._write(
        system,
        PredictionRow,
        [{**row, "ledger_key": keys.get(row["video_id"]), "prompt_sha": sha} for row in rows],
    )
    for key in "ab":
        Ledger(study.out).put(key * 32, replace(ENTRY, video_id=IDS[0]))
    scores = EvaluateConfig(predictions=(system,), out=study.out, permutations=100)
    score_systems(scores)
    config = ReportConfig(scores=scores, out=study.out)
    write_report(config)
    folder = Path(config.folder) / "calls"
    assert {path.stem for path in folder.iterdir()} == {
        *(study.keys[IDS[n]] for n in (0, 1)),
        f"prompt-{sha[:16]}",
    }
    words = Page((folder / f"{study.keys[IDS[0]]}.html").read_text()).words
    assert words.count("gemini-served") == 2
    assert "sample 1 of 2" in words
    assert "not in the study's ledger" in (folder / f"{study.keys[IDS[1]]}.html").read_text()
    assert fixed_prompt_of(system).splitlines()[0] in (folder / f"prompt-{sha[:16]}.html").read_text()
    erase_videos(study.out, {IDS[5]}, set())
    assert not list(folder.glob("*"))
