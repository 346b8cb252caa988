"""What a server's refusal means: status, headers and body -> Fault or UserError; and how long to wait then."""

import json
import math
import random
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from tikval.config import UserError
from tikval.llm.breaker import SPENDING
from tikval.llm.client import Fault
from tikval.rows import Reason

_LONGEST_WAIT: Final = 60.0  # seconds
_DEEPEST: Final = 64  # levels of JSON
_LONGEST_DETAIL: Final = 200  # characters

# Google's wording, then vLLM's two and OpenAI's code
_TOO_LONG: Final = re.compile(
    r"token count .*exceeds the maximum|maximum context length|longer than the maximum model length"
    r"|context_length_exceeded",
    re.IGNORECASE | re.DOTALL,
)
_WRONG_KEY: Final = re.compile(r"api[ _]key.*(not valid|invalid|expired)|API_KEY_INVALID", re.IGNORECASE)
_WRONG_PLACE: Final = re.compile(r"user location is not supported", re.IGNORECASE)
_SPENT: Final = {  # what is used up, and how servers word it
    SPENDING: re.compile(
        r"insufficient_quota|spend(ing)?[ _](cap|limit)|prepa(id|yment)|credits? (are|is)", re.I
    ),
    "the day's quota is used up": re.compile(r"PerDay|per day|daily", re.IGNORECASE),
}


class AskedServer(NamedTuple):
    """Who was asked, for what a message may tell of it."""

    service: str  # human-readable: Gemini, or the endpoint's address
    model: str
    key: str | None  # never shown
    key_variable: str  # where the key comes from


def fault_of(asked: AskedServer, status: int, headers: Mapping[str, str], body: object) -> Fault | UserError:
    """The error to raise for a reply whose status is not 200.

    `body` is the parsed JSON, or what came in its place. UserError is for what no row can succeed with: the key,
    the model's name, the address. A call is billed at most where a model may have run before it failed.
    """
    body = None if is_deep(body) else body
    error = _error(body)
    message = _short(str(error.get("message") or ""), asked.key)
    whole = json.dumps(body, default=str)
    detail = f"{status} {message or _phrase(status)}"
    if status in (401, 403) or (status == 400 and _WRONG_KEY.search(whole)):
        return UserError(f"{asked.service} refuses the key: check {asked.key_variable} ({detail})")
    if status == 402 or (status == 400 and _WRONG_PLACE.search(whole)):
        return UserError(f"{asked.service} refuses this account: {detail}")
    if status == 404:
        return UserError(f"{asked.service} has no model {asked.model!r}: check llm.model ({detail})")
    if 300 <= status < 400 or status == 405:
        return UserError(f"{asked.service} is not at this address: check api.base_url ({detail})")
    wait = _asked_to_wait(headers, error)
    if status == 429:
        spent = next((why for why, words in _SPENT.items() if words.search(whole)), None)
        return Fault(
            Reason.RATE_LIMITED,
            f"{spent}: {detail}" if spent else detail,
            retryable=True,
            billed="no",
            trouble="spent" if spent else "busy",
            after_seconds=wait,
        )
    if status == 408:
        return Fault(Reason.TIMEOUT, detail, retryable=True, billed="unknown", trouble="down")
    if status >= 500:
        away = status == 503  # before any model ran
        return Fault(
            Reason.SERVER_ERROR,
            detail,
            retryable=True,
            billed="no" if away else "unknown",
            trouble="busy" if away else "down",
            after_seconds=wait,
        )
    if status in (400, 413) and _TOO_LONG.search(whole):
        return Fault(Reason.TOO_MANY_TOKENS, detail, retryable=False, billed="no")
    if 400 <= status < 500:
        return Fault(Reason.REJECTED, detail, retryable=False, billed="no")
    return Fault(  # 204 and the like
        Reason.BAD_REPLY, detail, retryable=True, billed="unknown", trouble="down"
    )


def is_deep(value: object) -> bool:
    """Whether parsed JSON is nested deeper than any server's: what walks it would run out of stack."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [part for each in level for part in _parts(each)]
    return bool(level)


def _parts(value: object) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _asked_to_wait(headers: Mapping[str, str], error: Mapping[str, Any]) -> float | None:
    """Seconds: RetryInfo of Google's errors, else Retry-After as a number or a date. None: the server names none."""
    for part in error.get("details") or ():
        delay = part.get("retryDelay") if isinstance(part, dict) else None
        if isinstance(delay, str) and (seconds := _number(delay.removesuffix("s"))) is not None:
            return seconds
    after = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        moment = parsedate_to_datetime(after)
    except ValueError:
        return _number(after)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _number(str(max(0.0, (moment - datetime.now(UTC)).total_seconds())))


def backoff_seconds(try_number: int, rng: random.Random) -> float:
    """Seconds before a row's next try after `try_number` (1 at first) failed: anything up to 2, 4, 8 ... 60.

    What the server asks to wait comes on top, for the whole model: see tikval.llm.breaker.
    """
    return rng.uniform(0, min(_LONGEST_WAIT, 2.0 ** min(try_number, 10)))


def scrub(text: str, key: str | None) -> str:
    """A text of a server's on one line, without the key, anything that looks like one, addresses and long quotes."""
    text = " ".join(text.split())
    if key:
        text = text.replace(key, "***")
    text = re.sub(r"\bAIza[\w-]{20,}|\bsk-[\w-]{16,}|(?i:\bbearer) +[\w.~+/=-]{8,}", "***", text)
    text = re.sub(r"\bhttps?://[^\s'\"<>)]+", "(address)", text)
    # some servers repeat the input, which holds what a person spoke or wrote
    return re.sub(r"(?<!\w)(['\"`])(?:(?!\1).){40,}(?:\1|$)", "(quote)", text)


def _short(text: str, key: str | None) -> str:
    if text.lstrip().startswith("<"):
        return ""  # a proxy's HTML page
    text = scrub(text, key)
    return text if len(text) <= _LONGEST_DETAIL else f"{text[: _LONGEST_DETAIL - 3]}..."


def _error(body: object) -> dict[str, Any]:
    """The error object of Google's, OpenAI's, vLLM's or FastAPI's JSON; {} where there is none."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    error = body.get("error", body)
    if isinstance(error, str):
        return {"message": error}
    if not isinstance(error, dict):
        return {}
    return error if "message" in error else {**error, "message": error.get("detail")}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "with no message"


def _number(text: str) -> float | None:
    """Seconds, at most a day; None for anything else."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(seconds, 86_400.0) if math.isfinite(seconds) and seconds >= 0 else None
