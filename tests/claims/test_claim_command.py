"""`tikval claim`: each verdict of the list, what a look spends, and what is refused."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fixtures.claims import Claimed
from tests.fixtures.offline import tikval
from tikval.claims.families import is_outdated, read_families
from tikval.claims.family import recomputed_claims
from tikval.claims.verdict import Verdict
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.store.tables import read_table_of

FOOD: Final = """\
name: mine
claims:
  food_more:
    label: hedonism+
    group: {genre: food}
    against: {genre: travel}
  food_less:
    label: hedonism+
    group: {genre: food}
    against: {genre: travel}
    direction: less
  sports_more:
    label: hedonism+
    group: {genre: sports}
    against: {genre: travel}
looks: 2
"""


@pytest.fixture
def made(tmp_path: Path) -> Claimed:
    return Claimed(tmp_path)


def claim(made: Claimed, *words: str, text: str = FOOD, code: int = 0) -> str:
    done = tikval("claim", made.out, made.file(text), *words, code=code)
    return str(done.exception) if code else done.output


def rows(made: Claimed, table: str = "claims", name: str = "mine") -> list[dict[str, Any]]:
    stage = {"claims": "claims", "ways": "claim_ways"}[table]
    return list(read_table_of(f"{made.out}/claims/{name}/{table}.parquet", stage).to_pylist())


def verdicts(made: Claimed) -> dict[str, str]:
    return {row["claim"]: row["verdict"] for row in rows(made)}


def test_every_verdict_of_the_list(made: Claimed) -> None:
    found = set()
    assert "declared: 3 claims" in claim(made, "--declare")
    made.label(12)
    assert "look 1 of 2: 0.025 of 0.05 is spent" in claim(made)
    first = rows(made)
    assert first[0]["verdict"] == Verdict.TOO_FEW_LABELS
    found |= set(verdicts(made).values())
    made.label(150)
    assert "look 2 of 2: 0.05 of 0.05 is spent" in claim(made)
    assert verdicts(made) == {
        "food_more": Verdict.HOLDS,
        "food_less": Verdict.NOT_SHOWN,
        "sports_more": Verdict.TOO_FEW_ACCOUNTS,
    }
    (one, *_) = rows(made)
    assert one["p_holm"] == pytest.approx(3 * one["p"])
    assert 0.3 < one["estimate"] < 0.7
    assert one["sentence"] == (
        "Accounts endorse Hedonism more often in videos with genre food than in videos with genre travel."
    )
    found |= set(verdicts(made).values())
    made.system("other", lambda name: made.genre[name] == "travel")
    claim(made)
    assert verdicts(made)["food_more"] == Verdict.DEPENDS
    assert "other, raw: points the other way" in rows(made)[0]["why"]
    agrees = {
        (row["system"], row["way"]): row["agrees"]
        for row in rows(made, "ways")
        if row["claim"] == "food_more"
    }
    assert (agrees["other", "raw"], agrees["local", "raw"], agrees[None, "annotated"]) == (False, True, True)
    found |= set(verdicts(made).values())
    claim(made, text=FOOD.replace("mine", "late"))
    found |= {row["verdict"] for row in rows(made, name="late")}
    assert found == set(Verdict)


def test_the_same_labels_are_the_same_look_and_new_ones_spend(made: Claimed) -> None:
    claim(made, "--declare")
    assert "no look is spent" in claim(made)
    made.label(60)
    claim(made)
    before = rows(made)
    assert "look 1 of 2 (the same labels and predictions as before)" in claim(made)
    assert rows(made) == before
    made.seal_again()
    assert "look 1 of 2 (the same labels and predictions as before)" in claim(made), "files of other names"
    made.label(90)
    claim(made)
    made.label(120)
    before = rows(made)
    assert "2 looks planned and used" in claim(made, code=1)
    assert rows(made) == before


def test_a_claim_once_made_stays(made: Claimed) -> None:
    claim(made, "--declare")
    made.label(150)
    claim(made)
    assert verdicts(made)["food_more"] == Verdict.HOLDS
    made.truth = {name: not true for name, true in made.truth.items()}  # everybody has thought again
    made.label(150)
    claim(made)
    (one, *_) = rows(made)
    assert (one["look"], one["p_holm"]) == (2, 1)
    assert one["estimate"] < 0
    assert one["verdict"] == Verdict.DEPENDS
    assert "shown at look 1" in one["why"]
    assert "local, corrected: points the other way" in one["why"]


def test_what_was_known_before_is_no_truth(made: Claimed) -> None:
    made.label(100)
    assert "labels of 100 videos are known" in claim(made, "--declare")
    assert "no look is spent" in claim(made)
    assert verdicts(made)["food_more"] == Verdict.TOO_FEW_LABELS
    made.label(200)
    claim(made)
    (one, *_) = rows(made)
    assert one["labelled"] <= 100
    methods = Path(made.out, "claims/mine/methods.txt").read_text()
    assert (
        "100 videos whose labels were known then are left out; these labels only recalibrate scores."
        in methods
    )
    assert "its predictions were there when the claims were declared, and may have suggested them" in methods
    known = set(json.loads(Path(made.out, "claims/mine/declared.json").read_bytes())["labelled"])
    assert known == set(made.order[:100])


def test_a_changed_file_is_refused_and_an_exploration_is_remembered(made: Claimed) -> None:
    made.label(100)
    assert "exploratory" in claim(made)
    assert set(verdicts(made).values()) == {Verdict.NOT_DECLARED}
    claim(made)
    claim(made, "--declare")
    assert "line 6 was" in claim(made, text=FOOD.replace("{genre: travel}", "{genre: sports}", 1), code=1)
    assert "line 6 was" in claim(made, "--declare", text=FOOD.replace("{genre: travel}", "0.1", 1), code=1)
    made.label(200)
    claim(made)
    assert "after 2 exploratory looks" in Path(made.out, "claims/mine/methods.txt").read_text()
    shown = " ".join(tikval("claim", made.out, "--list").output.split())
    assert "mine" in shown
    assert "1 family" in shown


def test_the_other_kinds_of_claims_and_their_examples(made: Claimed) -> None:
    text = """\
name: kinds
claims:
  a_third: {label: hedonism+, group: {genre: food}, against: 0.33}
  grew: {label: hedonism+, over_time: {before: 2026-02-01}, direction: differ}
  named: {label: hedonism+, group: {account: [jane.food00, jane.food01]}, against: 0.1}
"""
    claim(made, "--declare", text=text)
    made.label(150)
    shown = claim(made, text=text)
    found = {row["claim"]: row for row in rows(made, name="kinds")}
    assert found["a_third"]["verdict"] == Verdict.HOLDS
    assert found["grew"]["accounts_a"] == 28
    assert abs(found["grew"]["estimate"]) < 0.2
    assert found["grew"]["p_holm"] > 0.05
    assert found["named"]["verdict"] == Verdict.TOO_FEW_ACCOUNTS
    written = "".join(
        path.read_text()
        for path in Path(made.out, "claims/kinds").iterdir()
        if path.suffix in (".csv", ".txt")
    )
    assert "jane" not in written + shown
    keys = {row["video_id"]: row["row_key"] for row in _listed(made)}
    examples = json.loads(Path(made.out, "claims/kinds/examples.json").read_bytes())["a_third"]["for"]
    names = [name for key in examples for name, own in keys.items() if own == key]
    assert len(names) == 12
    assert {made.genre[name] for name in names} == {"food"}
    assert len({name[:-2] for name in names}) == 12, "one of each account first"


def test_the_last_look_can_be_computed_anew(made: Claimed) -> None:
    claim(made, "--declare")
    made.label(120)
    claim(made)
    (family,) = read_families(made.out)
    claims, ways = recomputed_claims(Study(made.out), family)
    assert (claims, ways) == (rows(made), rows(made, "ways"))
    assert not is_outdated(Study(made.out), family)
    made.label(130)
    assert is_outdated(Study(made.out), family)


def test_where_all_labels_were_known_nothing_is_left_to_test(made: Claimed) -> None:
    made.label(len(made.order))
    claim(made, "--declare")
    assert "no video is left to test these claims on; 224 videos with labels that were known" in claim(
        made, code=1
    )


def _listed(made: Claimed) -> list[dict[str, Any]]:
    return list(Folder(made.catalog.folder).read(["video_id", "row_key"]).to_pylist())


@pytest.mark.parametrize(
    ("words", "text", "reason"),
    [
        ((), FOOD.replace("hedonism+", "hedonsm+"), "no label 'hedonsm+'; is hedonism+ meant?"),
        ((), FOOD.replace("looks: 2", "system: nobody"), "no system nobody; there are local"),
        ((), FOOD.replace("sports}", "gardening}"), "no video has the genre 'gardening'"),
        (("--list",), FOOD, "give a file of claims"),
    ],
)
def test_a_mistake_is_told_in_words(words: tuple[str, ...], text: str, reason: str, made: Claimed) -> None:
    assert reason in claim(made, *words, text=text, code=1)
