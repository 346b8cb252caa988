"""Money and troubles of a whole run over HTTP, by the server's own bill and journal."""

import re
import threading
import time
from pathlib import Path

import pytest

from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tests.fixtures.paid import asks, errors, paid_answers
from tikval.config import UserError
from tikval.llm.gate import Spent, read_spent
from tikval.rows import Reason


def always(name: str, seconds: float = 0.0) -> list[Rule]:
    return [Rule(Trouble(name, seconds))]


def booked(folder: Path) -> Spent:
    spent = read_spent(str(folder))
    assert spent is not None
    return spent


@pytest.mark.parametrize("name", ["no_usage", "no_version", "bad_usage"])
def test_a_reply_that_states_no_usage_counts_with_its_most(tmp_path: Path, name: str) -> None:
    with serving(LlmServer(rules=always(name))) as fake, paid_answers(tmp_path, fake) as answers:
        rows = answers(asks(40))
    assert errors(rows) == {None}
    assert 0 < fake.billed_usd() <= booked(tmp_path).settled_usd
    assert booked(tmp_path).unknown_usd == pytest.approx(booked(tmp_path).settled_usd)


def test_a_budget_holds_also_where_nothing_states_what_was_used(tmp_path: Path) -> None:
    with serving(LlmServer(rules=always("no_usage"))) as fake:
        with paid_answers(tmp_path, fake, budget_usd=0.05) as answers:
            rows = answers(asks(40))
        assert errors(rows) == {None, Reason.OVER_BUDGET}
        assert fake.billed_usd() <= booked(tmp_path).settled_usd <= 0.05


@pytest.mark.parametrize(
    "name", ["no_text", "empty_billed", "blocked_billed", "safety", "max_tokens", "wrong_model"]
)
def test_what_was_served_is_booked_as_billed_whatever_it_is_worth(tmp_path: Path, name: str) -> None:
    with serving(LlmServer(rules=always(name), model="gemini-3.8-flash")) as fake:
        with paid_answers(tmp_path, fake, wrong_model="set_aside") as answers:
            rows = answers(asks(12))
        assert None not in errors(rows)
        assert booked(tmp_path).settled_usd >= fake.billed_usd() > 0
        if name != "wrong_model":  # whose price nobody knows
            assert booked(tmp_path).settled_usd == pytest.approx(fake.billed_usd())
        assert len(fake.calls) == (24 if name in ("no_text", "empty_billed") else 12)


@pytest.mark.parametrize("name", ["bad_key", "unauthorized", "forbidden", "no_model"])
def test_a_mistyped_key_or_name_costs_nothing_and_the_right_one_does_it_all(
    tmp_path: Path, name: str
) -> None:
    with serving(LlmServer(rules=always(name))) as fake:
        with paid_answers(tmp_path, fake, budget_usd=1.0) as answers, pytest.raises(UserError):
            answers(asks(60))
        assert booked(tmp_path).settled_usd == 0
        fake.rules = ()
        with paid_answers(tmp_path, fake, budget_usd=1.0) as answers:
            assert errors(answers(asks(60))) == {None}


def test_a_rejected_request_costs_nothing(tmp_path: Path) -> None:
    with serving(LlmServer(rules=always("rejected"))) as fake, paid_answers(tmp_path, fake) as answers:
        assert errors(answers(asks(5))) == {Reason.REJECTED}
    assert booked(tmp_path).settled_usd == 0


def test_nobody_is_sent_before_the_delay_of_one_429_is_over(tmp_path: Path) -> None:
    rule = Rule(Trouble("rate_limited_info", 2.0), match="number 3.", first=1)
    with (
        serving(LlmServer(rules=[rule], latency=0.2)) as fake,
        paid_answers(tmp_path, fake, in_flight=8) as answers,
    ):
        rows = answers(asks(60))
        assert errors(rows) == {None}
        refused = next(call.time for call in fake.calls if call.outcome == "rate_limited_info")
        late = [call for call in fake.calls if refused + 0.3 < call.time < refused + 1.9]
        assert late == []
        after = [call.time for call in fake.calls if call.time >= refused + 1.9]
        assert len(after) > 40


def test_the_minute_of_a_server_that_gives_less_than_was_thought_is_kept_to(tmp_path: Path) -> None:
    fake = LlmServer(requests_per_minute=20, window_seconds=0.7)
    with serving(fake), paid_answers(tmp_path, fake, in_flight=16) as answers:
        assert errors(answers(asks(60))) == {None}
    refused = sum(call.outcome == "rate_limited_info" for call in fake.calls)
    assert refused <= 40, "not one each"


def test_a_quota_of_the_day_stops_the_run_at_once_and_says_when_to_come_again(tmp_path: Path) -> None:
    fake = LlmServer(quota_of_day=30, latency=0.05)
    with serving(fake):
        with paid_answers(tmp_path, fake, in_flight=8) as answers:
            rows = answers(asks(60))
        not_asked = [row for row in rows if row["error"]]
        assert errors(rows) == {None, Reason.NOT_ASKED}
        assert len(not_asked) == 30
        assert re.search(
            r"the day's quota is used up.*come again after \d{4}-\d\d-\d\d 08:00 UTC",
            str(not_asked[0]["detail"]),
        )
        assert sum(call.outcome != "ok" for call in fake.calls) <= 8, "those that were out"
        assert booked(tmp_path).settled_usd == pytest.approx(fake.billed_usd())
        fake.quota_of_day = None
        with paid_answers(tmp_path, fake) as answers:
            assert errors(answers(asks(60))) == {None}
    assert sum(call.outcome == "ok" for call in fake.calls) == 60, "nothing twice"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"spending_usd": 0.002}, "what may be spent is used up"),
        ({"quota_of_day": 5, "quota_wait_seconds": 36_000.0}, "come again after"),
    ],
)
def test_so_does_money_that_is_used_up(tmp_path: Path, limits: dict[str, float], words: str) -> None:
    fake = LlmServer(**limits)  # type: ignore[arg-type]
    with serving(fake), paid_answers(tmp_path, fake, in_flight=4) as answers:
        rows = answers(asks(60))
    assert {Reason.NOT_ASKED} < errors(rows) == {None, Reason.NOT_ASKED}
    assert all(words in str(row["detail"]) for row in rows if row["error"])
    assert sum(call.outcome != "ok" for call in fake.calls) <= 4


def test_a_delay_of_ten_hours_is_not_waited_for(tmp_path: Path) -> None:
    fake = LlmServer(rules=always("rate_limited_info", 36_000))
    begin = time.monotonic()
    with serving(fake), paid_answers(tmp_path, fake) as answers:
        rows = answers(asks(10))
    assert time.monotonic() - begin < 20
    assert errors(rows) == {Reason.NOT_ASKED}
    assert "asks to wait 10.0 h, longer than api.longest_wait_seconds allows (300)" in str(rows[0]["detail"])


@pytest.mark.parametrize("kind", ["503", "reset"])
def test_an_outage_is_waited_for_with_few_calls_and_uses_up_no_tries(tmp_path: Path, kind: str) -> None:
    fake = LlmServer(outage_kind=kind, latency=0.02)  # type: ignore[arg-type]
    with serving(fake), paid_answers(tmp_path, fake, in_flight=8, tries=2) as answers:
        assert errors(answers(asks(10))) == {None}
        fake.outage.switch(2)
        threading.Timer(2, fake.outage.switch, [0]).start()
        rows = answers(asks(40)[10:])
    assert errors(rows) == {None}
    met = [call for call in fake.calls if call.outcome != "ok"]
    assert len(met) <= 8 + 5, "what was out, and probes"


def test_an_outage_without_end_ends_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    fake = LlmServer()
    with serving(fake):
        fake.outage.switch(1000)
        with paid_answers(tmp_path, fake, in_flight=8, outage_minutes=0.03) as answers:
            rows = answers(asks(30))
        assert errors(rows) == {Reason.NOT_ASKED}
        assert re.search(r"no reply for \d+ s \(503", str(rows[0]["detail"]))
        fake.outage.switch(0)
        with paid_answers(tmp_path, fake) as answers:
            assert errors(answers(asks(30))) == {None}
        assert booked(tmp_path).settled_usd == pytest.approx(fake.billed_usd())
