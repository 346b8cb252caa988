"""What a refusal means, and how long to wait after it: pure."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tikval.config import UserError
from tikval.llm.client import Fault
from tikval.llm.faults import AskedServer, backoff_seconds, fault_of, scrub
from tikval.rows import Reason

KEY = "AIzaSy-not-a-key-0123456789"
ASKED = AskedServer("Gemini", "gemini-x", KEY, "GEMINI_API_KEY")


def google(status: int, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": "X", "details": list(details)}}


@pytest.mark.parametrize(
    ("status", "reason", "retryable", "billed"),
    [
        (400, Reason.REJECTED, False, "no"),
        (408, Reason.TIMEOUT, True, "unknown"),
        (413, Reason.REJECTED, False, "no"),
        (422, Reason.REJECTED, False, "no"),
        (429, Reason.RATE_LIMITED, True, "no"),
        (500, Reason.SERVER_ERROR, True, "unknown"),
        (502, Reason.SERVER_ERROR, True, "unknown"),
        (503, Reason.SERVER_ERROR, True, "no"),
        (504, Reason.SERVER_ERROR, True, "unknown"),
        (529, Reason.SERVER_ERROR, True, "unknown"),
        (204, Reason.BAD_REPLY, True, "unknown"),
    ],
)
def test_a_status_says_what_is_wrong(status: int, reason: Reason, retryable: bool, billed: str) -> None:
    fault = fault_of(ASKED, status, {}, google(status, "no"))
    assert isinstance(fault, Fault)
    assert (fault.reason, fault.retryable, fault.billed) == (reason, retryable, billed)
    assert fault.detail == f"{status} no"


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, "API key not valid. Please pass a valid API key.", "check GEMINI_API_KEY"),
        (400, "API key expired. Please renew the API key.", "check GEMINI_API_KEY"),
        (400, "User location is not supported for the API use.", "refuses this account"),
        (401, "unauthenticated", "check GEMINI_API_KEY"),
        (402, "no credit", "refuses this account"),
        (403, "permission denied", "check GEMINI_API_KEY"),
        (404, "models/gemini-x is not found", "no model 'gemini-x'"),
        (301, "", "check api.base_url"),
        (405, "", "check api.base_url"),
    ],
)
def test_what_no_row_can_succeed_with_stops_the_run(status: int, message: str, expected: str) -> None:
    error = fault_of(ASKED, status, {}, google(status, message))
    assert isinstance(error, UserError)
    assert expected in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "message",
    [
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    ],
)
def test_a_prompt_that_is_too_long_is_told_from_a_wrong_request(message: str) -> None:
    fault = fault_of(ASKED, 400, {}, google(400, message))
    assert isinstance(fault, Fault)
    assert fault.reason is Reason.TOO_MANY_TOKENS
    assert not fault.retryable


def wait_of(headers: dict[str, str], *details: dict[str, Any]) -> float | None:
    fault = fault_of(ASKED, 429, headers, google(429, "slow down", *details))
    assert isinstance(fault, Fault)
    return fault.after_seconds


def test_the_server_says_how_long_to_wait() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90))
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=90))
    assert wait_of({}, info) == 12.5
    assert wait_of({"Retry-After": "7"}) == 7
    assert wait_of({"retry-after": "7"}, info) == 12.5
    assert wait_of({"Retry-After": soon}) == pytest.approx(89, abs=2)
    assert wait_of({"Retry-After": past}) == 0
    assert wait_of({"Retry-After": "10000000"}) == 86_400
    for nonsense in ("", "soon", "-3", "nan", "inf"):
        assert wait_of({"Retry-After": nonsense}) is None
    assert wait_of({}, {"retryDelay": 12}, {"retryDelay": "x"}) is None


def test_a_quota_of_the_day_is_named() -> None:
    quota = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}
    fault = fault_of(ASKED, 429, {}, google(429, "quota", quota, {"retryDelay": "40s"}))
    assert isinstance(fault, Fault)
    assert fault.retryable
    assert (fault.trouble, fault.after_seconds) == ("spent", 40)
    assert fault.detail.startswith("the day's quota is used up: 429")


@pytest.mark.parametrize(
    "message",
    ["Your project has exceeded its monthly spending cap.", "insufficient_quota", "Your credits are used up"],
)
def test_money_that_is_used_up_is_named(message: str) -> None:
    fault = fault_of(ASKED, 429, {}, google(429, message))
    assert isinstance(fault, Fault)
    assert fault.trouble == "spent"
    assert fault.detail.startswith("what may be spent is used up: 429")


@pytest.mark.parametrize(
    "body",
    [
        None,
        "text",
        [],
        [1],
        {},
        {"error": None},
        {"error": []},
        {"error": {"message": None, "details": None}},
    ],
)
def test_any_body_will_do(body: object) -> None:
    fault = fault_of(ASKED, 500, {}, body)
    assert isinstance(fault, Fault)
    assert fault.detail == "500 Internal Server Error"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "said"}},
        [{"error": {"message": "said"}}],
        {"error": "said"},
        {"object": "error", "message": "said"},
        {"detail": "said"},
    ],
)
def test_the_message_is_found_where_each_server_puts_it(body: object) -> None:
    assert str(fault_of(ASKED, 400, {}, body)).endswith("400 said")


def test_a_detail_is_one_short_line_without_secrets() -> None:
    message = (
        f"key {KEY}\nat https://x.test/v1?key={KEY} for 'a long text that somebody said in a video of theirs'"
    )
    for status in (400, 401, 429, 500):
        message = str(fault_of(ASKED, status, {}, google(status, message + " x" * 500)))
        assert KEY not in message
        assert "somebody" not in message
        assert "x.test" not in message
        assert "\n" not in message
        assert len(message) < 400
    assert scrub("it isn't the model's fault", None) == "it isn't the model's fault"
    assert scrub("got sk-proj-0123456789abcdef here", None) == "got *** here"
    page = fault_of(ASKED, 502, {}, {"message": "<html><body>nginx</body></html>", "status": "Bad Gateway"})
    assert str(page) == "server_error: 502 Bad Gateway"


def test_waits_of_a_row_grow_and_spread() -> None:
    rng = random.Random(0)
    longest = [max(backoff_seconds(n, rng) for _ in range(300)) for n in (1, 2, 3, 5, 6, 50)]
    assert longest == sorted(longest)
    assert [round(seconds) for seconds in longest[:4]] == [2, 4, 8, 32]
    assert longest[-1] <= 60
    assert min(backoff_seconds(6, rng) for _ in range(300)) < 1
