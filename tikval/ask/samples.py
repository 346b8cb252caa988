"""Several samples of one row: which calls are still to be made, and their answers as one AnswerRow.

Sample 0 is the reply of a run that asks once, so that more samples cost no reply anew. Each sample counts its own
attempts: what is asked again is the sample that failed, and it alone.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from tikval.rows import AnswerRow, Reason

_LOOKED_FOR: Final = 3  # attempts at least: a run that asked once may have had its reply at a later one


class Samples(NamedTuple):
    """How often each row is asked, and what counts as an answer."""

    n: int
    is_answer: Callable[[str], bool]  # of a reply's text


def of_sample(asked: dict[str, Any], row: Any) -> dict[str, Any]:
    """What determines the reply of a row's sample, the row apart: `asked` with the seed `sample` further.

    Without a seed the samples differ by their number alone.
    """
    sample = row.get("sample", 0)
    if not sample:
        return asked
    seed = asked["llm"]["seed"]
    if seed is None:
        return {**asked, "sample": [asked["sample"], sample]}
    return {**asked, "llm": {**asked["llm"], "seed": seed + sample}}


def seed_of(asked: dict[str, Any], row: Any) -> int | None:
    """The seed of a row's sample; None: the configuration's."""
    seed: int | None = of_sample(asked, row)["llm"]["seed"] if row.get("sample") else None
    return seed


def attempts_of(row: Any, number: int) -> list[Any]:
    """The calls that a row's sample may have had, or may have now: the row with its sample and each attempt."""
    attempts = range(1, max(row["attempt"], _LOOKED_FOR) + 1)
    return [{**row, "sample": number, "attempt": attempt} for attempt in attempts]


async def ask_samples(
    row: Any,
    samples: Samples,
    one: Callable[[Any], Awaitable[AnswerRow]],
    is_held: Callable[[Any], Awaitable[bool]],
) -> AnswerRow:
    """The answers to all samples of a row, as one. `one` asks for a sample where the ledger does not hold it."""
    answers = await asyncio.gather(*(_sample(row, i, samples, one, is_held) for i in range(samples.n)))
    return _in_one(answers)


async def _sample(
    row: Any,
    number: int,
    samples: Samples,
    one: Callable[[Any], Awaitable[AnswerRow]],
    is_held: Callable[[Any], Awaitable[bool]],
) -> AnswerRow:
    """The first reply to a sample that needs no other one, of those that are paid for already; else a new one.

    No more are asked for than the row has had attempts.
    """
    rows = attempts_of(row, number)
    held = await asyncio.gather(*map(is_held, rows))
    answer: AnswerRow | None = None
    for attempt in (attempt for attempt, there in zip(rows, held, strict=True) if there):
        answer = await one(attempt)
        if _is_final(answer, samples):
            return answer
    if answer is not None and sum(held) >= row["attempt"]:
        return answer
    return await one(next(attempt for attempt, there in zip(rows, held, strict=True) if not there))


def _is_final(answer: AnswerRow, samples: Samples) -> bool:
    """Whether asking again cannot help: there is an answer, or there will be none."""
    if answer["error"] is not None:
        return Reason(answer["error"]).terminal
    return samples.is_answer(answer["reply"] or "")


def _in_one(answers: Sequence[AnswerRow]) -> AnswerRow:
    paid = [answer for answer in answers if answer["ledger_key"] is not None]
    costs = [answer["cost_usd"] for answer in paid if answer["cost_usd"] is not None]
    served = {answer["model_served"] for answer in paid} - {None}
    return {
        **answers[0],
        "reply": None,
        "tokens_in": _sum([answer["tokens_in"] for answer in paid]),
        "tokens_cached": _sum([answer["tokens_cached"] for answer in paid]),
        "tokens_out": _sum([answer["tokens_out"] for answer in paid]),
        "cost_usd": sum(costs) if costs else None,
        "ledger_key": " ".join(str(answer["ledger_key"]) for answer in paid) or None,
        "model_served": ", ".join(sorted(map(str, served))) or None,
        "samples": json.dumps(answers),
        "error": None,
        "detail": None,
    }


def _sum(counts: Sequence[int | None]) -> int | None:
    """A sum of numbers of which one is not known is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None
