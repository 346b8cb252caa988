"""A paid reply as a row: what the server did not count is not known, which is not nothing."""

from pathlib import Path
from typing import Any

import pytest

from tikval.ask.paid import PaidAnswers, asked_of
from tikval.config import Api, Endpoint
from tikval.llm.client import Admit, Question, Reply, Usage
from tikval.llm.ledger import Ledger

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
    "pictures": None,
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


class OpenGate:
    async def admit(self, call: str, usd: float, tokens: int) -> bool:
        return True

    async def settle(self, call: str, usd: float | None, more_tokens: int = 0) -> None:
        assert abs(more_tokens) < 10**6, "tokens that nobody counted"


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
    settled = []

    class Gate(OpenGate):
        async def settle(self, call: str, usd: float | None, more_tokens: int = 0) -> None:
            settled.append(call)

    class FullDisk(Ledger):
        def put(self, key: str, entry: Any) -> None:
            raise OSError("no space left")

    gate: Any = Gate
    no_video: Any = None
    asked = asked_of(LLM, "Q", None, None)
    answers = PaidAnswers(LLM, Api(), asked, lambda: client, gate, FullDisk(str(tmp_path)), None, no_video)
    with pytest.raises(OSError, match="no space"):
        answers([ROW])
    assert len(settled) == 1
