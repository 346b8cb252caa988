"""What a server sends is made fit for tables and files before anything is made of it."""

import json
from pathlib import Path

import pytest

from tikval.llm.client import Reply, Usage
from tikval.llm.ledger import Entry, Ledger, ledger_key
from tikval.rows import Reason


@pytest.mark.parametrize("count", [-1, 10**20, 1.5, "7", True, None, [1]])
def test_a_count_that_is_none_makes_all_of_them_unknown(count: object) -> None:
    usage = Usage(tokens_in=7, tokens_out=count)  # type: ignore[arg-type]
    assert (usage.tokens_in, usage.tokens_out, usage.known) == (0, 0, False)
    assert Usage(tokens_in=7, tokens_out=3).known


def test_a_reply_is_valid_text_whatever_came() -> None:
    reply = Reply(
        "Nice cake \ud83d", "gem\ud83dini\n\x1b[31m" + "x" * 500, Usage(), Reason.BLOCKED, "why \udc00"
    )
    assert reply.text == "Nice cake ?"
    assert reply.detail == "why ?"
    assert reply.model_served is not None
    assert reply.model_served.isprintable()
    assert len(reply.model_served) == 200
    json.dumps([reply.text, reply.detail, reply.model_served]).encode()


def test_what_an_earlier_version_wrote_down_is_read(tmp_path: Path) -> None:
    """The earlier version kept replies as they came, and could not make rows of them."""
    ledger, key = Ledger(str(tmp_path)), ledger_key({"a": 1})
    ledger.put(key, Entry("v", Reply("text", "m", Usage(1, 0, 0, 2)), 0.5, "2026-11-28T00:00:00+00:00"))
    file = next(tmp_path.rglob("*.json"))
    entry = json.loads(file.read_text())
    del entry["reply"]["usage"]["known"]
    entry["reply"] |= {"text": "Nice cake \ud83d"}
    entry["reply"]["usage"]["tokens_out"] = 10**20
    file.write_text(json.dumps(entry))
    found = ledger.get(key)
    assert found is not None
    assert (found.reply.text, found.cost_usd) == ("Nice cake ?", 0.5)
    assert not found.reply.usage.known
