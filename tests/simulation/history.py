"""What happened, as events; and the properties that every history has: functions of the events alone.

Each property returns one line for each time that it was violated, and none where it held.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

_EPSILON: Final = 1e-9  # USD
_MINUTE: Final = 60.0
_TRIES_OF_A_STORE: Final = 4  # failures in a row of one reply's storing that nobody can be blamed for


@dataclass(frozen=True)
class Event:
    at: float  # virtual seconds from the beginning
    what: str
    facts: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]

    def __str__(self) -> str:
        return f"{self.at:10.3f}  {self.what:<12} {json.dumps(self.facts, default=str)}"


def key_of(call: str) -> str:
    return call.partition(".")[0]


def _of(history: Iterable[Event], *kinds: str) -> list[Event]:
    return [event for event in history if event.what in kinds]


def no_row_is_lost(history: Sequence[Event]) -> list[str]:
    """Every row of a run that has ended has a row in its table."""
    return [
        f"life {event['life']} ended without {row}"
        for event in _of(history, "table")
        for row in sorted(set(event["wanted"]) - {key for key, _, _ in event["rows"]})
    ]


def no_row_comes_out_twice(history: Sequence[Event]) -> list[str]:
    return [
        f"life {event['life']}: {n} rows of {key}"
        for event in _of(history, "table")
        for key, n in Counter(key for key, _, _ in event["rows"]).items()
        if n > 1
    ]


def every_row_is_answered_in_the_end(history: Sequence[Event]) -> list[str]:
    """The last runs meet no fault: what is then without a reply has a reason that no run can help."""
    tables = _of(history, "table")
    if not tables:
        return ["no run ended"]
    last = tables[-1]
    return [
        f"{key} is left with {error}"
        for key, _, error in last["rows"]
        if error not in (None, *last["final"]) and not (error == "over_budget" and key in last["too_dear"])
    ]


def nothing_is_invented(history: Sequence[Event]) -> list[str]:
    """An answer is a text that the server gave for that very row, and whole; a failure is none."""
    given: dict[str, set[str]] = defaultdict(set)
    for event in _of(history, "billed"):
        if event["whole"]:
            given[event["content"]].add(event["text"])
    wrong = []
    for table in _of(history, "table"):
        for key, text, error in table["rows"]:
            if (text is None) == (error is None):
                wrong.append(f"{key}: reply {text!r} with the error {error}")
            elif text is not None and text not in given[table["contents"].get(key, "")]:
                wrong.append(f"{key}: {text!r} is no reply to it")
    return wrong


@dataclass
class _Bill:
    name: str
    owner: str  # the process that waits for the reply; "": a batch job's, which waits for whoever comes
    state: str = "on its way"  # "lost", "in the ledger"


def nothing_is_paid_twice(history: Sequence[Event]) -> list[str]:
    """A call is billed a second time only where the reply to the first was lost on its way, or with its process."""
    wrong: list[str] = []
    bills: dict[str, list[_Bill]] = defaultdict(list)  # by ledger key
    failures: Counter[str] = Counter()
    dead: list[str] = []
    for event in history:
        mine = bills[event["key"]] if "key" in event.facts else []
        on_their_way = [bill for bill in mine if bill.state == "on its way"]
        if event.what == "billed":
            died = any(_belongs(event["owner"], each) for each in dead)  # it was asked before it died
            known = [bill for bill in mine if bill.state != "lost"]
            if known and not died:
                again = f"{event['key']} is billed again in {event['bill']}"
                wrong.append(f"{event.at:.3f}: {again}, {known[0].name} is {known[0].state}")
            mine.append(_Bill(event["bill"], event["owner"], "lost" if died else "on its way"))
        elif event.what == "lost":
            _set([bill for bill in on_their_way if bill.name == event["bill"]], "lost")
        elif event.what == "not stored":
            failures[event["key"]] += 1
            if failures[event["key"]] % _TRIES_OF_A_STORE == 0:
                _set(on_their_way, "lost")
        elif event.what == "stored":
            _set(mine, "in the ledger")
        elif event.what == "died":
            dead.append(event["owner"])
            for each in bills.values():
                _set([bill for bill in each if _is_lost_with(bill, event["owner"])], "lost")
    return wrong


def _is_lost_with(bill: _Bill, process: str) -> bool:
    return bill.state == "on its way" and _belongs(bill.owner, process)


def _belongs(owner: str, process: str) -> bool:
    return f"{owner}/".startswith(f"{process}/")


def _set(bills: Iterable[_Bill], state: str) -> None:
    for bill in bills:
        bill.state = state


def no_budget_is_passed(history: Sequence[Event]) -> list[str]:
    billed, wrong = 0.0, []
    for event in _of(history, "billed"):
        billed += event["usd"]
        if event["budget"] is not None and billed > event["budget"] + _EPSILON:
            wrong.append(f"{event.at:.3f}: {billed:.6f} USD are billed of {event['budget']:.6f}")
    return wrong


def all_money_is_booked(history: Sequence[Event]) -> list[str]:
    """At each bill, what the folder's account on the disk counts as spent or reserved is no less than all bills."""
    billed, wrong = 0.0, []
    for event in _of(history, "billed", "account"):
        billed += event["usd"] if event.what == "billed" else 0.0
        if billed > event["booked"] + _EPSILON:
            wrong.append(f"{event.at:.3f}: {billed:.6f} USD are billed, {event['booked']:.6f} are booked")
    return wrong


def no_money_is_made_up(history: Sequence[Event]) -> list[str]:
    """What is booked as known was billed; and a run that ended holds no reserve."""
    billed, wrong = 0.0, []
    for event in _of(history, "billed", "account"):
        if event.what == "billed":
            billed += event["usd"]
            continue
        if event["known"] > billed + _EPSILON:
            wrong.append(
                f"{event.at:.3f}: {event['known']:.6f} USD are booked as known, {billed:.6f} were billed"
            )
        if event["open"]:
            wrong.append(f"{event.at:.3f}: the run has ended and holds a reserve for {event['open']}")
    return wrong


def no_limit_is_passed(history: Sequence[Event]) -> list[str]:
    """Requests and tokens that reach the server in any 60 seconds."""
    sent, wrong = _of(history, "sent"), []
    first = requests = tokens = 0
    for event in sent:
        requests, tokens = requests + 1, tokens + event["tokens"]
        while sent[first].at <= event.at - _MINUTE:
            requests, tokens = requests - 1, tokens - sent[first]["tokens"]
            first += 1
        if requests > event["per_minute"]:
            wrong.append(f"{event.at:.3f}: {requests} requests in 60 s of {event['per_minute']}")
        if tokens > event["tokens_per_minute"] and requests > 1:
            wrong.append(f"{event.at:.3f}: {tokens} tokens in 60 s of {event['tokens_per_minute']}")
    return wrong


def no_more_are_in_flight_than_allowed(history: Sequence[Event]) -> list[str]:
    out: dict[str, set[str]] = defaultdict(set)  # actor -> its requests
    wrong = []
    for event in _of(history, "asked", "came back"):
        if event.what == "came back":
            out[event["owner"]].discard(event["bill"])
            continue
        out[event["owner"]].add(event["bill"])
        if len(out[event["owner"]]) > event["in_flight"]:
            wrong.append(f"{event.at:.3f}: {len(out[event['owner']])} of {event['owner']} are out")
    return wrong


def no_call_goes_before_it_is_written_down(history: Sequence[Event]) -> list[str]:
    return [
        f"{event.at:.3f}: {event['call']} was sent and is not in calls.json"
        for event in _of(history, "asked")
        if not event["written"]
    ]


def no_batch_job_is_forgotten(history: Sequence[Event]) -> list[str]:
    """Every job that came to be on the server is written down until it has been read; in the end none is left."""
    wrong = [
        f"{event.at:.3f}: job {event['job']} runs and nothing here knows of it"
        for event in _of(history, "job begins")
        if not event["written"]
    ]
    tables = _of(history, "table")
    return wrong + [f"in the end job {job} is not read" for job in (tables[-1]["jobs"] if tables else ())]


def every_run_ends(history: Sequence[Event]) -> list[str]:
    return [f"{event.at:.3f}: {event['why']}" for event in _of(history, "stuck")]


PROPERTIES: Final[dict[str, Callable[[Sequence[Event]], list[str]]]] = {
    each.__name__: each
    for each in (
        no_row_is_lost,
        no_row_comes_out_twice,
        every_row_is_answered_in_the_end,
        nothing_is_invented,
        nothing_is_paid_twice,
        no_budget_is_passed,
        all_money_is_booked,
        no_money_is_made_up,
        no_limit_is_passed,
        no_more_are_in_flight_than_allowed,
        no_call_goes_before_it_is_written_down,
        no_batch_job_is_forgotten,
        every_run_ends,
    )
}


def violations(history: Sequence[Event]) -> dict[str, list[str]]:
    """What each property has to say, of those that have."""
    found = {name: holds(history) for name, holds in PROPERTIES.items()}
    return {name: lines for name, lines in found.items() if lines}
