"""What batch jobs are made of, without a server: limits, what is written down, what broken results leave, money."""

import asyncio
import json
import random
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.batch_run import ASKED, FOLDER, LLM, Way, api_of, rows_of
from tests.fixtures.fakes import NoLimits
from tikval.ask.batch import Request, split_requests
from tikval.ask.batch_jobs import BatchTools
from tikval.ask.batch_results import BatchReader, unknown_usd
from tikval.ask.call_costs import CallCosts
from tikval.ask.pending import LateRows, pending_calls
from tikval.ask.samples import Samples
from tikval.config import ExtractConfig, UserError, load_config
from tikval.llm.batch_gate import BatchFolderGate
from tikval.llm.batch_jobs import BatchJob, BatchRow, JobFiles
from tikval.llm.client import Fault, Reply, Usage
from tikval.llm.gate import read_spent
from tikval.llm.gemini_batch import RemoteJob
from tikval.llm.ledger import Entry, Ledger
from tikval.llm.prices import Period, load_prices
from tikval.llm.uploads import Uploads, is_needed
from tikval.rows import Reason
from tikval.store.row_keys import KeyIndex


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 9), st.integers(10, 120))
def test_requests_are_cut_within_both_limits(sizes: list[int], most_rows: int, most_bytes: int) -> None:
    requests = [Request(i, f"{i:032x}", 0.0, size) for i, size in enumerate(sizes)]
    parts = list(split_requests(requests, most_rows, most_bytes))
    assert [request for part in parts for request in part] == requests
    for part in parts:
        assert 1 <= len(part) <= most_rows
        assert len(part) == 1 or sum(request.n_bytes for request in part) <= most_bytes
    for part, following in pairwise(parts):
        size = sum(request.n_bytes for request in part)
        assert len(part) == most_rows or size + following[0].n_bytes > most_bytes, "as few jobs as that takes"


def job_of(n: int, **more: Any) -> BatchJob:
    rows = tuple(BatchRow(f"{i:032x}", f"v{i}", 0.01 * (i + 1), f"files/tikval-j-{i}") for i in range(n))
    return BatchJob("j", FOLDER, LLM.model, rows, state="created", name="batches/1", **more)


def test_what_is_written_down_is_read_again(tmp_path: Path) -> None:
    jobs = JobFiles(str(tmp_path))
    assert list(jobs.all()) == []
    job = job_of(3)
    jobs.put(job)
    assert list(JobFiles(str(tmp_path)).all()) == [job]
    assert jobs.of(FOLDER) == [job]
    assert jobs.of("another") == []
    assert jobs.keys() == {row.key for row in job.rows}
    needed = Uploads(str(tmp_path)).batch_jobs()
    assert all(is_needed(name, needed) for name in job.files)
    erased = job.without({"v1"})
    assert [row.video_id for row in erased.rows] == ["v0", None, "v2"]
    assert erased.files == job.files, "its upload is still to be deleted"
    jobs.drop(job)
    assert list(jobs.all()) == []


class Results:
    """A client whose server has one ended job."""

    def __init__(self, lines: list[bytes], succeeded: int | None, *, lost_after: int | None = None) -> None:
        self.lines, self.succeeded, self.lost_after = lines, succeeded, lost_after
        self.deleted: list[str] = []

    async def look(self, name: str) -> RemoteJob:
        return RemoteJob(name, "", "SUCCEEDED", True, "files/r", self.succeeded, False, None)

    async def result_lines(self, file: str) -> AsyncIterator[bytes]:
        lost, self.lost_after = self.lost_after, None
        for line in self.lines[:lost]:
            yield line
        if lost is not None:
            raise Fault(Reason.SERVER_ERROR, "connection lost", retryable=True, billed="no")

    async def reply_of(self, response: dict[str, Any]) -> Reply:
        if "text" not in response:
            raise Fault(Reason.BAD_REPLY, "not a reply of the API", retryable=True, billed="unknown")
        return Reply(response["text"], LLM.model, Usage(tokens_in=1000, tokens_out=100))

    async def delete_file(self, name: str) -> None:
        self.deleted.append(name)


EACH = st.sampled_from(
    ["reply", "reply", "error", "missing", "half", "unreadable", "twice", "error, then reply"]
)
REPLY_USD = (1000 * 0.75 + 100 * 3.75) / 2e6  # by batch, until the end of 2026


def lines_for(key: str, what: str) -> list[bytes]:
    def line(**payload: Any) -> bytes:
        return json.dumps({"key": key, **payload}).encode()

    reply, again = line(response={"text": f"of {key}"}), line(response={"text": "another"})
    error = line(error={"code": 13, "message": "Internal"})
    return {
        "reply": [reply],
        "error": [error],
        "missing": [],
        "half": [reply[:-9]],
        "unreadable": [line(response={"candidates": 5})],
        "twice": [reply, again],
        "error, then reply": [error, reply],
    }[what]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(EACH, min_size=1, max_size=12),
    st.booleans(),
    st.booleans(),
    st.integers(0, 9),
    st.integers(0, 20),
)
def test_of_broken_results_every_reply_is_saved_and_all_that_was_billed_is_booked(
    each: list[str], counted: bool, shuffled: bool, seed: int, lost_after: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _check_salvage(Path(folder), each, counted, shuffled, seed, lost_after)


def _check_salvage(
    out: Path, each: list[str], counted: bool, shuffled: bool, seed: int, lost_after: int
) -> None:
    job, ledger = job_of(len(each)), Ledger(str(out))
    billed = [what not in ("error", "missing") for what in each]  # what is missing was never run
    # a key's own lines keep their order: the first of them counts
    groups = [lines_for(row.key, what) for row, what in zip(job.rows, each, strict=True)]
    groups += [[b'{"key": "nobody", "response": {"text": "x"}}'], [b"\n"]]
    if shuffled:
        random.Random(seed).shuffle(groups)
    client = Results([line for group in groups for line in group], sum(billed) if counted else None)
    client.lost_after = lost_after

    async def read() -> BatchReader:
        way = Way(out, api_of("http://127.0.0.1:1", poll_seconds=0.001))
        gate = BatchFolderGate(f"{out}/{FOLDER}", ledger, 100.0, NoLimits())
        await gate.admit_some(job.call, [row.usd for row in job.rows])
        tools: Any = BatchTools(client, gate, JobFiles(str(out)), Uploads(str(out)))  # type: ignore[arg-type]
        tools.jobs.put(job)
        reader = BatchReader(tools, ledger, way.route.costs, way.api, FOLDER)
        await reader.read_all()
        tools.jobs.put(job)  # as if it had died before this was gone
        await BatchReader(tools, ledger, way.route.costs, way.api, FOLDER).read_all()
        return reader

    reader = asyncio.run(read())
    for row, what in zip(job.rows, each, strict=True):
        entry = ledger.get(row.key)
        if what in ("reply", "twice", "error, then reply"):
            assert entry is not None
            assert (entry.reply.text, entry.video_id) == (f"of {row.key}", row.video_id)
            assert row.key not in reader.refused
        else:
            assert entry is None
            assert row.key in reader.refused
    spent = read_spent(f"{out}/{FOLDER}")
    assert spent is not None
    n_read = len(ledger.keys())
    lost = [row.usd for row, what in zip(job.rows, each, strict=True) if what in ("half", "unreadable")]
    unread = [
        row.usd for row, what in zip(job.rows, each, strict=True) if what in ("half", "unreadable", "missing")
    ]
    assert spent.settled_usd - spent.unknown_usd == pytest.approx(n_read * REPLY_USD)
    assert spent.unknown_usd >= sum(lost) - 1e-9
    assert spent.unknown_usd <= sum(sorted(unread, reverse=True)[: len(lost)] if counted else unread) + 1e-9
    assert not list(JobFiles(str(out)).all())
    assert set(job.files) <= set(client.deleted)


def test_of_rows_without_a_reply_the_dearest_may_have_been_billed() -> None:
    rows = list(job_of(4).rows)  # 0.01 to 0.04
    remote = RemoteJob("", "", "EXPIRED", True, None, 3, False, None)
    assert unknown_usd(rows, remote, 1) == pytest.approx(0.07)
    assert unknown_usd(rows, remote, 3) == 0
    assert unknown_usd(rows, remote._replace(succeeded=None), 3) == pytest.approx(0.10)
    assert unknown_usd(rows, None, 0) == pytest.approx(0.10)


def test_a_job_s_reserve_outlives_its_driver_and_is_settled_once(tmp_path: Path) -> None:
    folder, ledger = str(tmp_path / FOLDER), Ledger(str(tmp_path))

    def gate() -> BatchFolderGate:
        return BatchFolderGate(folder, ledger, 1.0, NoLimits())

    async def run() -> None:
        assert await gate().admit_some("batch-1", [0.4, 0.4, 0.4]) == 2
        after = gate()  # the first one is dead
        assert await after.open_jobs() == ["batch-1"]
        spent = read_spent(folder)
        assert spent is not None
        assert spent.settled_usd == 0, "reserved is not spent"
        assert await after.admit_some("batch-2", [0.3]) == 0
        assert not (await after.admit("0" * 32 + ".1.a", 0.3, 10)).go, (
            "and waits for nothing that comes back no more"
        )
        await after.settle_job("batch-1", 0.2, 0.1)
        await after.settle_job("batch-1", 0.2, 0.1)
        last = gate()
        assert [last.spent.settled_usd, last.spent.unknown_usd] == pytest.approx([0.3, 0.1])
        assert await last.open_jobs() == []
        assert await last.admit_some("batch-2", [0.3, 0.3, 0.3]) == 2

    asyncio.run(run())


def test_a_key_is_claimed_by_the_first_row_also_when_it_comes_again(tmp_path: Path) -> None:
    gate = BatchFolderGate(str(tmp_path / FOLDER), Ledger(str(tmp_path)), None, NoLimits())
    assert asyncio.run(gate.claim(["k", "k", "l"], ["a", "b", "b"])) == [True, False, True]
    assert asyncio.run(gate.claim(["k"], ["a"])) == [True]


def test_an_attempt_at_which_nobody_was_asked_keeps_its_number() -> None:
    def seen(*rows: tuple[int, str | None]) -> list[int]:
        table = pa.table(
            {
                "row_key": ["0" * 32] * len(rows),
                "attempt": [attempt for attempt, _ in rows],
                "error": pa.array([error for _, error in rows], pa.string()),
            }
        )
        return list(np.asarray(KeyIndex([table]).seen().attempts))

    assert seen((1, "not_asked")) == [0]
    assert seen((1, "not_asked"), (1, "not_asked")) == [0]
    assert seen((1, "bad_reply"), (2, "not_asked")) == [1]
    assert seen((1, "not_asked"), (1, "bad_reply")) == [1], "its reply came since"
    assert seen((1, "bad_reply"), (1, "not_asked")) == [1]


def entry(text: str = "yes", reason: Reason | None = None) -> Entry:
    return Entry("v", Reply(text, LLM.model, Usage(tokens_in=1), reason), 0.0, "")


def test_rows_that_wait_for_a_job_are_not_asked(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    rows: list[Any] = rows_of(3)
    keys = [pending_calls(ledger, ASKED, row, None)[0][0] for row in rows]
    ledger.put(keys[0], entry())
    held = LateRows(ASKED, ledger, None, in_jobs={keys[0], keys[1]}, in_no_job={}, stay=False, why={})(rows)
    assert [row["error"] for row in held] == [None, "not_asked", None]
    why = {keys[2]: ("over_budget", "too dear")}
    held = LateRows(ASKED, ledger, None, in_jobs=set(), in_no_job={}, stay=True, why=why)(rows)
    assert [row["error"] for row in held] == [None, "not_asked", "over_budget"]


def test_each_sample_that_has_no_answer_is_a_call(tmp_path: Path) -> None:
    ledger, (row,) = Ledger(str(tmp_path)), rows_of(1)
    samples = Samples(3, lambda text: text == "yes")
    first = pending_calls(ledger, ASKED, row, samples)
    assert len({key for key, _ in first}) == 3
    assert first[0][0] == pending_calls(ledger, ASKED, row, None)[0][0], (
        "the first is that of a run that asks once"
    )
    ledger.put(first[0][0], entry())
    ledger.put(first[1][0], entry("no"))
    ledger.put(first[2][0], entry("", Reason.BLOCKED))
    assert pending_calls(ledger, ASKED, row, samples) == []
    again = pending_calls(ledger, ASKED, {**row, "attempt": 2}, samples)
    assert [(call["sample"], call["attempt"]) for _, call in again] == [(1, 2)]


def test_a_batch_is_reserved_for_at_the_dearer_of_the_prices_of_its_days() -> None:
    now = datetime.now(UTC).date()
    tomorrow = now + timedelta(days=1)
    price = {"input": 1.0, "output": 1.0, "from": "2026-01-01", "until": tomorrow, "source": "here"}
    prices = load_prices().model_copy(
        update={
            "models": {
                LLM.model: [Period.model_validate({**price, "answered_by": "dear"})],
                "dear": [Period.model_validate({**price, "until": None, "output": 9.0})],
            }
        }
    )
    (row,) = rows_of(1)
    api = api_of("http://127.0.0.1:1")
    online = CallCosts(LLM, api, prices).most_usd(row)
    batch = CallCosts(LLM, api, prices, batch=True).most_usd(row)
    assert batch == pytest.approx(online / 2 + 8.0 * LLM.max_tokens / 2e6)


@pytest.mark.parametrize(
    ("config", "file"),
    [(ExtractConfig, "configs/mistral/predictions.yaml"), (ExtractConfig, "configs/demo/predictions.yaml")],
)
def test_a_model_without_batch_jobs_is_not_asked_by_batch(config: type[ExtractConfig], file: str) -> None:
    with pytest.raises(UserError, match="alone takes batch jobs"):
        load_config(config, file, ["api.route=batch"])
