"""What goes wrong and when, drawn from a seed."""

import random
from typing import Final, Literal, NamedTuple

Place = Literal["disk", "store"]
KILLS: Final = ("driver", "worker", "raylet", "node", "gcs")
STOPS: Final = ("stop_driver", "stop_worker", "stop_raylet")  # SIGSTOP, then SIGCONT
STORE: Final = ("store_fails", "store_is_slow", "store_lists_are_stale")
DISK: Final = ("disk_full",)
LATE: Final = "late_node"  # the third node joins in the middle
KINDS: Final = (*KILLS, *STOPS, *STORE, *DISK, LATE)
STAGES: Final = ("scripts", "predictions")  # the local one, the paid one
LATEST: Final = 0.6  # latest share of a stage's rows, so that work remains after the fault


class Fault(NamedTuple):
    kind: str
    stage: str
    share: float  # of the stage's rows that are done when it comes

    def __str__(self) -> str:
        return f"{self.kind} at {self.share:.0%} of {self.stage}"


class Plan(NamedTuple):
    seed: int
    place: Place  # where the results lie
    faults: tuple[Fault, ...]  # in the order in which they come


def draw(seed: int) -> Plan:
    """Two faults. The first goes through all kinds in an order that is drawn for every len(KINDS) seeds in a row.

    Seed 0 is the undisturbed run.
    """
    if seed == 0:
        return Plan(0, "disk", ())
    chance, (lap, turn) = random.Random(seed), divmod(seed - 1, len(KINDS))
    first = random.Random(f"order {lap}").sample(KINDS, len(KINDS))[turn]
    place: Place = chance.choice(["disk", "store"])
    place = "store" if first in STORE else "disk" if first in DISK else place
    others = (*KILLS, *STOPS, LATE, *(STORE if place == "store" else DISK))
    second = chance.choice([kind for kind in others if kind != first])
    faults = [
        Fault(kind, chance.choice(STAGES), round(chance.uniform(0.1, LATEST), 2)) for kind in (first, second)
    ]
    return Plan(seed, place, tuple(sorted(faults, key=_order)))


def _order(fault: Fault) -> tuple[int, bool, float]:
    """As their rows come; but actors that a dead head leaves behind pay all that is left: after it nothing is hit."""
    return STAGES.index(fault.stage), fault.kind == "gcs" and fault.stage == STAGES[-1], fault.share
