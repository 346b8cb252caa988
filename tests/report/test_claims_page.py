"""The page of claims: its numbers are the tables', a verdict is a word and a sign, and no account stands on it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.fixtures import site
from tests.fixtures.site import EVIL, KEYS, Page, card, pages
from tikval.claims.declaration import Declaration, text_sha
from tikval.claims.families import ClaimFamily
from tikval.claims.looks import LabelLook
from tikval.claims.verdict import Verdict
from tikval.config.claims import Claim, ClaimsConfig
from tikval.rows import ClaimRow, ClaimWayRow

MINUS = "\N{MINUS SIGN}"
WHEN = datetime(2026, 3, 1, tzinfo=UTC)


def claim_row(name: str, verdict: Verdict, **changes: Any) -> ClaimRow:
    row: ClaimRow = {
        "family": "mine",
        "claim": name,
        "sentence": f"Accounts endorse {EVIL} more often.",
        "label": "a+",
        "verdict": verdict.value,
        "why": "shown at look 2 by s",
        "declared_at": WHEN,
        "declared_sha": "0" * 64,
        "look": 2,
        "alpha": 0.01,
        "system": "s",
        "estimate": 0.123,
        "lower": 0.04,
        "upper": 0.206,
        "p": 0.001,
        "p_holm": 0.002,
        "accounts_a": 12,
        "accounts_b": 14,
        "labelled": 80,
        "more_labels": None,
    }
    return row | changes  # type: ignore[return-value]


def way_row(claim: str, way: str, estimate: float | None, **changes: Any) -> ClaimWayRow:
    row: ClaimWayRow = {
        "family": "mine",
        "claim": claim,
        "way": way,
        "system": None if way == "annotated" else "s",
        "prompt_sha": None,
        "sample": None,
        "seed": None,
        "estimate": estimate,
        "lower": None if estimate is None else estimate - 0.08,
        "upper": None if estimate is None else estimate + 0.08,
        "p": 0.01,
        "agrees": None if estimate is None else estimate > 0,
        "accounts_a": 12,
        "accounts_b": 14,
        "videos_a": 300,
        "videos_b": 310,
        "labelled_a": 40,
        "labelled_b": 40,
        "why_none": "too few" if estimate is None else None,
    }
    return row | changes  # type: ignore[return-value]


def family(*rows: ClaimRow, ways: tuple[ClaimWayRow, ...] = (), **changes: Any) -> ClaimFamily:
    text = "name: mine"
    declaration = Declaration(
        "mine", text, text_sha(text), WHEN.isoformat(), "four", "s", (), ("one",), 0, "1"
    )
    config = ClaimsConfig(
        name="mine",
        claims={row["claim"]: Claim(label="a+", group={"genre": "food"}, against=0.1) for row in rows}
        or {"c": Claim(label="a+", against=0.1)},
    )
    given: dict[str, Any] = {
        "folder": "out/claims/mine",
        "config": config,
        "declaration": declaration,
        "is_declared": True,
        "looks": (
            LabelLook(1, WHEN.isoformat(), "0", 0.01, 40, (), {}),
            LabelLook(2, WHEN.isoformat(), "1", 0.01, 80, ("c",), {}),
        ),
        "claims": rows,
        "ways": ways,
        "methods": "How it was done.",
        "examples": {},
        **changes,
    }
    return ClaimFamily(**given)


def claims_page_of(*families: ClaimFamily, **keys: Any) -> Page:
    return pages(site.report(claims=families, **keys))["claims.html"]


def test_a_site_without_claims_has_no_page_of_them() -> None:
    found = pages(site.report())
    assert "claims.html" not in found
    assert "claims.html" not in found["index.html"].links


def test_the_page_says_what_the_tables_say() -> None:
    ways = (
        way_row("c", "corrected", 0.123, lower=0.04, upper=0.206),
        way_row("c", "raw", -0.05),
        way_row("c", "annotated", None),
    )
    one = family(claim_row("c", Verdict.DEPENDS), ways=ways)
    page = claims_page_of(one)
    for words in (
        f"Accounts endorse {EVIL} more often.",
        "≠ depends on the model",
        "+12.3 [+4.0, +20.6]",
        "p 0.002 after Holm's correction",
        "12 and 14 accounts, 80 labels",
        "Declared on 2026-03-01, 2 looks of 5 planned, the last on 2026-03-01",
        "s, raw",
        f"{MINUS}5.0",
        "✗ no",
        "the annotators' labels alone",
        "too few",
        "How it was done.",
    ):
        assert words in page.words, words
    dots = [
        attrs["d"] for tag, attrs in page.tags if tag == "path" and (attrs["class"] or "").startswith("dot")
    ]
    assert len(dots) == 2
    places = [float(str(d).split()[0][1:]) for d in dots]
    assert places[0] > 50 > places[1]
    assert not [attrs for _, attrs in page.tags if "style" in attrs]


def test_every_verdict_has_a_sign_of_its_own_kind() -> None:
    rows = [claim_row(f"c{n}", verdict) for n, verdict in enumerate(Verdict)]
    page = claims_page_of(family(*rows))
    kinds = [
        attrs["class"]
        for tag, attrs in page.tags
        if tag == "span" and (attrs.get("class") or "").startswith("verdict ")
    ]
    assert len(kinds) == len(Verdict)
    assert (
        kinds.count("verdict holds")
        == kinds.count("verdict depends")
        == kinds.count("verdict undeclared")
        == 1
    )
    assert all(verdict.value in page.words for verdict in Verdict)


def test_examples_lead_to_their_videos_and_name_no_account() -> None:
    quote = {"source": "speech", "start": 1.0, "end": 2.0, "weight": None, "in_script": True}
    evidence = [{"label": "a+", "quote": "hello", **quote}, {"label": "b+", "quote": "DAY 1", **quote}]
    row = dict(site.PREDICTIONS[0], evidence=evidence)
    cards = (card("one", account="jane.doe", predictions=(row,)), card("two", account="jane.doe"))
    examples = {"c": {"for": [KEYS["one"], "f" * 32], "against": [KEYS["two"]]}}
    page = claims_page_of(family(claim_row("c", Verdict.HOLDS), examples=examples), cards=cards)
    assert f"videos/{KEYS['one']}.html" in page.links
    assert f"videos/{KEYS['two']}.html" in page.links
    assert "hello" in page.words
    assert "DAY 1" not in page.words, "evidence of another label"
    assert "f" * 32 not in page.text
    assert "jane" not in page.text


def test_a_family_without_a_look_and_one_that_was_not_declared_say_so() -> None:
    assert "1 claim, not tested yet" in claims_page_of(family()).words
    page = claims_page_of(family(claim_row("c", Verdict.NOT_DECLARED), is_declared=False, looks=()))
    assert "Exploratory" in page.words
    assert "Declared on" not in page.words


def test_declared_families_come_first() -> None:
    one = family(claim_row("c", Verdict.NOT_DECLARED), is_declared=False, looks=())
    afterthought = replace(one, config=one.config.model_copy(update={"name": "afterthought"}))
    words = claims_page_of(afterthought, family(claim_row("c", Verdict.HOLDS))).words
    assert words.index("Declared on") < words.index("Exploratory")


def test_labels_that_came_since_the_look_are_mentioned() -> None:
    one, notice = family(claim_row("c", Verdict.HOLDS)), "have changed since this look"
    assert notice not in claims_page_of(one).words
    assert notice in claims_page_of(one, outdated_claims=frozenset(["mine"])).words


def test_the_tables_behind_the_page_are_files_of_the_site() -> None:
    one = family(claim_row("c", Verdict.HOLDS), ways=(way_row("c", "raw", 0.1),))
    found = site.files(site.report(claims=(one,)))
    assert b"holds in all ways of measuring" in found["data/mine-claims.csv"]
    assert found["data/mine-ways.csv"].count(b"\n") == 2
