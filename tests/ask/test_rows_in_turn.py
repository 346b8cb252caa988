"""How rows get their turn in the stage that pays: read when there is room, asked when read, held up by nobody."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.fixtures.fakes import OpenGate
from tests.fixtures.paid import asks
from tikval.ask.paid import PaidAnswers, asked_of
from tikval.config import Api, Endpoint
from tikval.flow.data import Chain
from tikval.llm.client import Admit, Question, Reply, Usage
from tikval.llm.ledger import Ledger

LLM = Endpoint(model="m")


class Model:
    """Replies when it is told to."""

    def __init__(self) -> None:
        self.replied: dict[str, threading.Event] = {}
        self.at_once = self.most_at_once = 0

    async def ask(self, question: Question, admit: Admit) -> Reply:
        await admit()
        go = self.replied.setdefault(question.prompt, threading.Event())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        while not go.is_set():
            await asyncio.sleep(0.005)
        self.at_once -= 1
        return Reply("text", "m", Usage(tokens_in=1, tokens_out=1))

    def let_go(self, numbers: Iterator[int] | range) -> None:
        for number in numbers:
            self.replied.setdefault(f"Judge number {number}.", threading.Event()).set()


def paid_by(model: Any, folder: Path, in_flight: int) -> PaidAnswers:
    gate: Any = OpenGate
    no_video: Any = None
    asked = asked_of(LLM, "Q", None, None)
    return PaidAnswers(
        LLM, Api(in_flight=in_flight), asked, lambda: model, gate, Ledger(str(folder)), None, no_video
    )


class Reader:
    """The stage before: counts what was read."""

    def __init__(self, seconds: float = 0) -> None:
        self.read: list[str] = []
        self.seconds = seconds

    def __call__(self, rows: list[Any]) -> list[Any]:
        time.sleep(self.seconds)
        self.read += [row["video_id"] for row in rows]
        return rows

    def failure(self, row: Any, reason: Any, detail: str) -> Any:
        raise AssertionError


def until(what: Any) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_row_is_read_when_there_is_room_for_it(tmp_path: Path) -> None:
    """Pictures of rows that wait are in no memory, however many rows one call of the stage has."""
    model, reader = Model(), Reader()
    chain = Chain(lambda: reader, lambda: paid_by(model, tmp_path, 4))
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(chain, asks(40))
        until(lambda: len(model.replied) == 4)
        time.sleep(0.2)
        assert len(reader.read) <= 4 + 4 // 4 + 2
        model.let_go(range(40))
        assert [row["video_id"] for row in done.result()] == [f"v{n}" for n in range(40)]
    assert model.most_at_once == 4


def test_a_row_is_asked_while_others_are_read(tmp_path: Path) -> None:
    model, reader = Model(), Reader(seconds=0.3)
    chain = Chain(lambda: reader, lambda: paid_by(model, tmp_path, 4))
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(chain, asks(4))
        until(lambda: len(model.replied) == 1)
        assert len(reader.read) < 4
        model.let_go(range(4))
        assert len(done.result()) == 4


def test_a_slow_reply_holds_up_only_the_rows_that_came_with_it(tmp_path: Path) -> None:
    model = Model()
    answers = paid_by(model, tmp_path, 4)
    with ThreadPoolExecutor(8) as threads:
        parts = [threads.submit(answers, asks(32)[at : at + 4]) for at in range(0, 32, 4)]
        model.let_go(range(1, 32))
        until(lambda: sum(part.done() for part in parts) == 7)
        assert not parts[0].done()
        assert len(Ledger(str(tmp_path)).keys()) == 31  # what came with it is paid for, and kept
        model.let_go(range(32))
        assert len(parts[0].result()) == 4
