"""What came of a seed, and how many calls may be billed at most."""

import time
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.study import ACTORS, IN_FLIGHT

LATENCY: Final = 1.0  # seconds of a reply
SLACK_SECONDS: Final = 1.0  # between the journal's clock and a fault's


@dataclass
class Met:
    """A fault that came."""

    fault: str
    rows_before: int  # of its stage
    begin: float
    end: float | None = None


@dataclass
class Outcome:
    seed: int
    place: str
    faults: list[Met] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)  # faults whose stage was over before they came
    starts: int = 0  # of the command
    exits: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)  # what the command ended with where it failed by itself
    unclear: list[str] = field(default_factory=list)  # of those the ones that are no message
    seconds: float = 0.0
    different: list[str] = field(default_factory=list)
    paid: int = 0  # calls that the server billed
    bound: int = 0
    error: str = ""  # why it did not end

    @property
    def holds(self) -> bool:
        return not (self.error or self.different or self.missed or self.unclear) and self.paid <= self.bound


def bound_of(rows: int, faults: list[Met], paid: list[float]) -> int:
    """The most calls that may be billed, given when each of those was that were.

    One for each row, and of each fault those under way while it lasted, which are no more than can be at once.
    """
    return rows + sum(_under_way(met, paid) for met in faults)


def _under_way(met: Met, paid: list[float]) -> int:
    first, last = met.begin - LATENCY - SLACK_SECONDS, (met.end or time.time()) + SLACK_SECONDS
    return min(ACTORS * IN_FLIGHT, sum(first <= at <= last for at in paid))
