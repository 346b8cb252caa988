"""Several replies as one answer: the majority decides, a tie decides nothing, and the order is of no account."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikval.codebook import load_codebook
from tikval.config import ExtractConfig, LlmExtractor, UserError, find_file, load_config
from tikval.extract.llm import ReadValues, why_alike
from tikval.extract.reply import Answer
from tikval.extract.votes import MAJORITY, FailedSample, agreement, fewest_votes, vote, why_no_vote
from tikval.rows import PredictionRow, Reason, arrow_schema
from tikval.values import SLUGS, Stance, binary, stances

BOOK = load_codebook(find_file("prompts/codebook.yaml"))
WORDS = {-1: "confronted", 0: "absent", 1: "endorsed", 2: "dominant"}
CODES = st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=3, max_size=3)
ANSWERS = st.lists(
    st.builds(
        Answer, CODES.map(tuple), st.sampled_from([True, False, None]), st.sampled_from([None, "a", "b"])
    ),
    min_size=1,
    max_size=6,
)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_a_vote_is_the_majority_whatever_the_order(answers: list[Answer], rng: Any) -> None:
    voted = vote(answers)
    mixed = list(answers)
    rng.shuffle(mixed)
    assert vote(mixed) == voted
    n = len(answers)
    labels = [binary(answer.stances) for answer in answers]
    counts = [sum(map(bool, column)) for column in zip(*labels, strict=True)]
    assert voted.scores == [count / n for count in counts]
    assert voted.decisions == [2 * count > n for count in counts]
    assert voted.decisions == [score >= MAJORITY for score in voted.scores], "the threshold that is exported"
    assert binary(voted.stances) == voted.decisions, "no stance that the decisions do not have"
    assert stances(voted.decisions, voted.scores) == [min(code, 1) for code in voted.stances]
    for v, code in enumerate(voted.stances):
        assert (code == Stance.DOMINANT) == (2 * sum(a.stances[v] == Stance.DOMINANT for a in answers) > n)
    assert voted.notes in {answer.notes for answer in answers}
    if n == 1:
        assert (voted.stances, voted.agreement) == (list(answers[0].stances), None)
    else:
        assert voted.agreement is not None
        assert (voted.agreement == 1) == all(row == labels[0] for row in labels)


def test_a_tie_decides_nothing_and_dominant_counts_as_endorsed() -> None:
    tied = vote([Answer((1, -1, 2), True, None), Answer((0, 1, 1), False, None)])
    assert (tied.stances, tied.has_sound) == ([0, 0, 1], None)
    assert tied.scores == [0.5, 0.5, 1.0, 0.0, 0.5, 0.0]
    assert tied.agreement == pytest.approx(1 / 3)


def test_agreement_is_the_share_of_pairs_that_are_alike() -> None:
    assert agreement([[1, 0], [2, 0], [0, 0]]) == pytest.approx((1 / 3 + 1) / 2)
    assert agreement([[0, 0]]) is None
    assert agreement([[-1], [1]]) == 0


@given(st.lists(st.sampled_from(["ok", *Reason]), min_size=1, max_size=7))
def test_a_row_may_be_tried_again_only_where_that_can_help(found: list[str]) -> None:
    n, valid = len(found), found.count("ok")
    failed = [FailedSample(i, Reason(one), "why") for i, one in enumerate(found) if one != "ok"]
    if valid >= fewest_votes(n):
        return
    reason, detail = why_no_vote(failed, n)
    reachable = valid + sum(not each.reason.terminal for each in failed)
    assert reason.terminal == (reachable < n // 2 + 1)
    first = next(each for each in failed if each.reason.terminal == reason.terminal)
    assert (reason, f"sample {first.number}:" in detail) == (first.reason, True)


def answer_row(**what: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("reply", "error", "detail", "samples", "tokens_in", "tokens_out", "cost_usd"))
    row = {"video_id": "v", "row_key": "0" * 32, "attempt": 1, "ledger_key": "k", "model_served": "m"}
    return {**empty, **row, "carried": json.dumps({"account": "ann"}), **what}


def reply(*given: str, notes: str = "") -> dict[str, Any]:
    values = dict.fromkeys(SLUGS, "absent") | dict(one.split("=") for one in given)
    return answer_row(reply=json.dumps({"has_sound": True, "values": values, "notes": notes}))


def read(*samples: dict[str, Any]) -> PredictionRow:
    extractor = LlmExtractor.model_validate({"llm": {"kind": "endpoint", "model": "m"}, "samples": 3})
    reader = ReadValues("votes", BOOK, extractor, "sha")
    (row,) = reader([answer_row(samples=json.dumps(samples))])
    assert row.keys() == set(arrow_schema(PredictionRow).names)
    return row


def test_samples_come_out_as_one_row() -> None:
    row = read(
        reply("face=endorsed", "humility=confronted"),
        reply("face=dominant", notes="of @ann"),
        answer_row(error="timeout", detail="late"),
    )
    labels = dict(zip(BOOK.labels, row["scores"] or [], strict=True))
    assert (labels["face+"], labels["humility-"], labels["humility+"]) == (1, 0.5, 0)
    assert [label for label, yes in zip(BOOK.labels, row["decisions"] or [], strict=True) if yes] == ["face+"]
    assert (row["votes"], row["error"]) == (2, None)
    assert row["agreement"] == pytest.approx(18 / 19)
    assert (row["abstained"], row["has_sound"]) == (False, True)
    assert "ann" not in (row["notes"] or ""), "notes name nobody"


def test_too_few_answers_are_a_failure_and_no_stance() -> None:
    bad, blocked = answer_row(reply="no JSON"), answer_row(error="blocked", detail="safety")
    row = read(reply("face=endorsed"), blocked, bad)
    assert (row["error"], row["decisions"], row["scores"], row["votes"]) == ("bad_reply", None, None, None)
    assert (row["detail"] or "").startswith("1 of 3 samples are answers, 2 are needed; sample 2: ")
    assert read(reply(), blocked, blocked)["error"] == "blocked"


def test_one_sample_is_what_it_was() -> None:
    reader = ReadValues(
        "one", BOOK, LlmExtractor.model_validate({"llm": {"kind": "endpoint", "model": "m"}}), "sha"
    )
    (row,) = reader([reply("face=dominant")])
    assert (row["scores"], row["votes"], row["agreement"]) == (None, None, None)
    assert row["stances"] == [2 * (slug == "face") for slug in SLUGS]


@pytest.mark.parametrize(
    ("temperature", "samples", "warned"), [(0, 3, True), (0, 1, False), (1, 3, False), (None, 3, False)]
)
def test_samples_that_may_all_be_alike_are_warned_of(
    temperature: float | None, samples: int, warned: bool
) -> None:
    llm = {"kind": "endpoint", "model": "m", "temperature": temperature}
    assert bool(why_alike(LlmExtractor.model_validate({"llm": llm, "samples": samples}))) is warned


def test_samples_are_part_of_the_recipe_and_not_for_an_engine() -> None:
    def config(*sets: str) -> ExtractConfig:
        return load_config(ExtractConfig, "configs/gemini/direct.yaml", sets)

    assert config("extractor.samples=1").fingerprint == config().fingerprint
    assert config("extractor.samples=3").fingerprint != config().fingerprint
    with pytest.raises(UserError, match="samples: an engine inside the job gives one reply"):
        load_config(ExtractConfig, "configs/qwen/direct.yaml", ["extractor.samples=3"])
