"""Which calls of a row have no reply yet, and which of these must not be made online."""

from typing import Any

from tikval.ask.samples import Samples, attempts_of, of_sample
from tikval.llm.ledger import Ledger, ledger_key
from tikval.rows import AskRow, Reason

_WAITS = (Reason.NOT_ASKED, "its batch job has no result yet; the same command goes on")
_STAYS = (Reason.NOT_ASKED, "it is in no batch job yet; the same command goes on")


def pending_calls(
    ledger: Ledger, asked: dict[str, Any], row: Any, samples: Samples | None
) -> list[tuple[str, Any]]:
    """The calls that a row needs and that have no reply yet: the ledger key of each, and the row with its sample."""
    if samples is None:
        key = _pending_key(ledger, asked, row)
        return [(key, row)] if key else []
    found = (
        _pending_sample(ledger, asked, attempts_of(row, n), row["attempt"], samples) for n in range(samples.n)
    )
    return [call for call in found if call]


def _key(asked: dict[str, Any], row: Any, **more: int) -> str:
    return ledger_key({**of_sample(asked, row), "input": row["input_sha"], "attempt": row["attempt"], **more})


def _pending_key(ledger: Ledger, asked: dict[str, Any], row: Any) -> str | None:
    """An empty reply is asked for once more, under a key of its own."""
    for more in ({}, {"again": 1}):
        key = _key(asked, row, **more)
        entry = ledger.get(key)
        if entry is None:
            return key
        if not entry.reply.empty:
            return None
    return None


def _pending_sample(
    ledger: Ledger, asked: dict[str, Any], attempts: list[Any], allowed: int, samples: Samples
) -> tuple[str, Any] | None:
    """The first attempt of a sample without a reply; None where it has a final one, or has had all it may."""
    calls = [(_key(asked, attempt), attempt) for attempt in attempts]
    replies = [entry.reply if (entry := ledger.get(key)) else None for key, _ in calls]
    held = [reply for reply in replies if reply is not None]
    if any(reply.reason.terminal if reply.reason else samples.is_answer(reply.text) for reply in held):
        return None
    for (key, attempt), reply in zip(calls, replies, strict=True):
        if reply is None:
            return (key, attempt) if len(held) < allowed else None
        if reply.empty and (again := _pending_key(ledger, asked, attempt)):
            return again, attempt
    return None


class LateRows:
    """AskRow -> AskRow: rows that must not be asked online.

    A batch job may still be paid for them, or none took them: nothing is late then, and full price was not agreed to.
    """

    def __init__(
        self,
        asked: dict[str, Any],
        ledger: Ledger,
        samples: Samples | None,
        *,
        in_jobs: set[str],
        in_no_job: dict[str, tuple[str, str]],
        stay: bool,
        why: dict[str, tuple[str, str]],
    ) -> None:
        """`in_jobs`: the keys of jobs that are not read yet; `in_no_job`: why others came into none. `stay`: no row is
        asked online at all, for the reason in `why` under its key, else as the next run hands it in."""
        self.asked, self.ledger, self.samples = asked, ledger, samples
        self.in_jobs, self.in_no_job, self.stay, self.why = in_jobs, in_no_job, stay, why

    def __call__(self, rows: list[AskRow]) -> list[AskRow]:
        return [self._held(row) for row in rows]

    def failure(self, row: AskRow, reason: Reason, detail: str | None) -> AskRow:
        return {**row, "error": reason.value, "detail": detail}

    def _held(self, row: AskRow) -> AskRow:
        asked = row["error"] is None and row["prompt"] is not None
        if not asked or not (self.stay or self.in_jobs or self.in_no_job):
            return row
        keys = [key for key, _ in pending_calls(self.ledger, self.asked, row, self.samples)]
        if any(key in self.in_jobs for key in keys):
            return self.failure(row, *_WAITS)
        if why := next((self.in_no_job[key] for key in keys if key in self.in_no_job), None):
            return self.failure(row, Reason(why[0]), why[1])
        if not keys or not self.stay:
            return row
        reason, detail = next((self.why[key] for key in keys if key in self.why), _STAYS)
        return self.failure(row, Reason(reason), detail)
