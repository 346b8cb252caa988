"""A paid reply as a row: what the server did not count is not known, which is not nothing."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from tests.fixtures.fakes import OpenGate
from tikval.ask.paid import PaidAnswers, asked_of
from tikval.config import Api, Endpoint, Gemini, UserError
from tikval.llm.breaker import Met, Stop
from tikval.llm.client import EMPTY, Admit, Fault, Question, Reply, Usage
from tikval.llm.gate import Admission, Served
from tikval.llm.ledger import Ledger
from tikval.llm.prices import load_prices
from tikval.rows import Reason

LLM = Endpoint(model="m")
ROW: dict[str, Any] = {
    "video_id": "v",
    "row_key": "0" * 32,
    "attempt": 1,
    "carried": "{}",
    "error": None,
    "detail": None,
    "prompt": "Q",
    "video": None,
    "files": None,
    "pictures": None,
    "sounds": None,
    "seconds": None,
    "input_sha": "1",
}


class OneReply:
    """A client that has one reply for all."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    async def ask(self, question: Question, admit: Admit) -> Reply:
        await admit()
        return self.reply

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("usage", "counts"),
    [(Usage(tokens_in=7, tokens_out=3), (7, 0, 3)), (Usage(tokens_in=10**20), (None, None, None))],
)
def test_counts_that_are_none_are_not_nothing(usage: Usage, counts: tuple[Any, ...], tmp_path: Path) -> None:
    client: Any = OneReply(Reply("text \ud83d", "m", usage))
    gate: Any = OpenGate
    no_video: Any = None
    asked = asked_of(LLM, "Q", None, None)
    answers = PaidAnswers(LLM, Api(), asked, lambda: client, gate, Ledger(str(tmp_path)), None, no_video)
    for _ in range(2):  # the second time out of the ledger
        (row,) = answers([ROW])
        assert (row["tokens_in"], row["tokens_cached"], row["tokens_out"]) == counts
        assert (row["reply"], row["error"]) == ("text ?", None)


def test_a_reply_that_cannot_be_stored_keeps_no_money_reserved(tmp_path: Path) -> None:
    client: Any = OneReply(Reply("text", "m", Usage(tokens_in=7, tokens_out=3)))
    opened = OpenGate()

    class FullDisk(Ledger):
        def put(self, key: str, entry: Any) -> None:
            raise OSError("no space left")

    gate: Any = lambda: opened  # noqa: E731
    no_video: Any = None
    asked = asked_of(LLM, "Q", None, None)
    answers = PaidAnswers(LLM, Api(), asked, lambda: client, gate, FullDisk(str(tmp_path)), None, no_video)
    with pytest.raises(UserError, match=r"/ledger: no space left; nothing is paid for without it"):
        answers([ROW])
    assert len(opened.settled) == 1
    (other,) = answers([{**ROW, "input_sha": "2"}])  # the run is over: it pays for no other row
    assert other["error"] == Reason.NOT_ASKED
    assert len(opened.settled) == 1


def test_a_ledger_that_cannot_be_read_fails_no_row(tmp_path: Path) -> None:
    """As a failure the row would have another number the next time, under which nobody has paid for it."""
    client: Any = OneReply(Reply("text", "m", Usage(tokens_in=7, tokens_out=3)))
    opened = OpenGate()

    class NoStore(Ledger):
        def get(self, key: str) -> Any:
            raise OSError("AWS Error SLOW_DOWN")

    gate: Any = lambda: opened  # noqa: E731
    no_video: Any = None
    asked = asked_of(LLM, "Q", None, None)
    answers = PaidAnswers(LLM, Api(), asked, lambda: client, gate, NoStore(str(tmp_path)), None, no_video)
    with pytest.raises(UserError, match="SLOW_DOWN"):
        answers([ROW])
    assert opened.settled == []


def test_a_store_that_fails_for_a_moment_costs_no_reply(tmp_path: Path) -> None:
    class Shaky(Ledger):
        fails = 2

        def put(self, key: str, entry: Any) -> None:
            self.fails -= 1
            if self.fails >= 0:
                raise OSError("the store is busy")
            super().put(key, entry)

    client, gate = Script(Reply("text", "m", Usage(tokens_in=7, tokens_out=3))), OpenGate()
    make_client: Any = lambda: client  # noqa: E731
    make_gate: Any = lambda: gate  # noqa: E731
    no_video: Any = None
    asked, ledger = asked_of(LLM, "Q", None, None), Shaky(str(tmp_path))
    answers = PaidAnswers(LLM, Api(), asked, make_client, make_gate, ledger, None, no_video)
    answers.dice.uniform = lambda a, b: 0.0  # type: ignore[method-assign]
    (row,) = answers([ROW])
    assert (row["reply"], row["error"], client.ends) == ("text", None, [])
    assert len(gate.settled) == 1


# --- money, against a client that answers what a list says

GEMINI = Gemini(model="gemini-3.8-flash", max_tokens=100)
PRICES = load_prices()
FULL = Usage(tokens_in=1000, tokens_out=50)
GOOD = Reply("text", GEMINI.model, FULL)
NOTHING = Reply("", GEMINI.model, Usage(tokens_in=1000), Reason.BAD_REPLY, EMPTY)


def refused(reason: Reason = Reason.SERVER_ERROR, **how: Any) -> Fault:
    return Fault(reason, "no", **{"retryable": True, "billed": "no", **how})


class Script:
    """A client whose calls end as a list says, one after another."""

    def __init__(self, *ends: Reply | Exception) -> None:
        self.ends = list(ends)

    async def ask(self, question: Question, admit: Admit) -> Reply:
        await admit()
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


def paid_by(folder: Path, client: Any, gate: Any, **api: Any) -> PaidAnswers:
    asked, no_video = asked_of(GEMINI, "Q", None, None), cast(Any, None)
    ledger = Ledger(str(folder))
    answers = PaidAnswers(GEMINI, Api(**api), asked, lambda: client, lambda: gate, ledger, PRICES, no_video)
    answers.dice.uniform = lambda a, b: 0.0  # type: ignore[method-assign]
    return answers


def cost(usage: Usage = FULL) -> float:
    return PRICES.of(GEMINI.model, datetime.now(UTC).date()).cost(usage)


@pytest.mark.parametrize(
    "reply",
    [
        Reply("text", GEMINI.model, Usage(known=False)),  # without usageMetadata
        Reply("text", None, FULL),  # without modelVersion
        Reply("", GEMINI.model, Usage(known=False), Reason.BLOCKED, "prompt"),
    ],
)
def test_what_nobody_can_know_counts_with_its_most(tmp_path: Path, reply: Reply) -> None:
    gate, client = OpenGate(), Script(reply)
    answers = paid_by(tmp_path, client, gate)
    (row,) = answers([ROW])
    most = answers.costs.most_usd(ROW)
    assert [usd for usd, _ in gate.settled] == [None], "the gate books the reserve, as unknown"
    assert (row["cost_usd"] or 0) >= most
    assert most > 0


@pytest.mark.parametrize("reason", [Reason.BLOCKED, Reason.TRUNCATED])
def test_what_was_counted_costs_that_also_where_it_is_of_no_use(tmp_path: Path, reason: Reason) -> None:
    gate = OpenGate()
    (row,) = paid_by(tmp_path, Script(Reply("", GEMINI.model, FULL, reason, "so")), gate)([ROW])
    assert [usd for usd, _ in gate.settled] == [cost()]
    assert (row["error"], row["cost_usd"]) == (reason, cost())


def test_an_empty_reply_is_kept_and_asked_for_once_more(tmp_path: Path) -> None:
    gate, client = OpenGate(), Script(NOTHING, GOOD, NOTHING, NOTHING, GOOD)
    answers = paid_by(tmp_path, client, gate)
    (row,) = answers([ROW])
    assert (row["reply"], row["cost_usd"]) == ("text", cost() + cost(NOTHING.usage))
    assert len(answers.ledger.keys()) == 2
    (row,) = answers([{**ROW, "input_sha": "2"}])
    assert (row["reply"], row["error"]) == (None, Reason.BAD_REPLY)
    assert len(client.ends) == 1, "not a third time"
    (row,) = answers([{**ROW, "input_sha": "2"}])
    assert len(client.ends) == 1, "and never again in this attempt"
    assert [usd for usd, _ in gate.settled] == [cost(NOTHING.usage), cost(), *[cost(NOTHING.usage)] * 2]


def test_what_was_never_served_costs_nothing_and_stops_the_run_once_the_others_are_back(
    tmp_path: Path,
) -> None:
    gate = OpenGate()
    answers = paid_by(tmp_path, Script(UserError("refuses the key")), gate)
    with pytest.raises(UserError, match="refuses the key"):
        answers([ROW])
    assert gate.settled == [(0, Met("unknown"))]
    assert gate.halted == "refuses the key"
    (row,) = answers([{**ROW, "input_sha": "2"}])
    assert (row["error"], row["detail"]) == (Reason.NOT_ASKED, "refuses the key")


def test_a_fault_of_the_model_uses_up_no_try_of_the_row(tmp_path: Path) -> None:
    class Outage(OpenGate):
        async def settle(
            self, call: str, usd: float | None, met: Met, more_tokens: int = 0, served: Served | None = None
        ) -> bool:
            await super().settle(call, usd, met)
            return met.trouble is not None

    gate = Outage()
    (row,) = paid_by(tmp_path, Script(*[refused(trouble="down")] * 9, GOOD), gate, tries=2)([ROW])
    assert row["error"] is None
    assert sum(usd or 0 for usd, _ in gate.settled) == cost()
    (row,) = paid_by(tmp_path, Script(*[refused(trouble="down")] * 2), OpenGate(), tries=2)(
        [{**ROW, "input_sha": "2"}]
    )
    assert row["error"] == Reason.SERVER_ERROR


def test_what_is_not_asked_says_when_to_come_again(tmp_path: Path) -> None:
    class Spent(OpenGate):
        async def admit(self, call: str, usd: float, tokens: int, gone: str | None = None) -> Admission:
            return Admission(False, Stop("the day's quota is used up", 0.0))

    client = Script()
    rows = paid_by(tmp_path, client, Spent())([{**ROW, "input_sha": str(n)} for n in range(3)])
    assert {row["error"] for row in rows} == {Reason.NOT_ASKED}
    assert {row["detail"] for row in rows} == {
        "the day's quota is used up; come again after 1970-01-01 00:00 UTC"
    }
