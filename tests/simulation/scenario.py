"""What a seed decides before anything runs: how large a run is, how it is limited, and how often what goes wrong."""

import random
from dataclasses import dataclass
from typing import Any

from tests.fixtures.batch_run import MODEL
from tikval.config import Api, Gemini

LLM = Gemini(model=MODEL, max_tokens=500)


@dataclass(frozen=True)
class Scenario:
    batch: bool
    rows: int
    contents: int  # different ones among them
    actors: int
    in_flight: int  # of each actor
    per_minute: int
    tokens_per_minute: int
    tries: int
    budget_share: float | None  # of what all rows can cost at most, each asked once
    kills: tuple[int, ...]  # the step of each life of the driver before which it dies
    actor_deaths: tuple[float, ...]  # seconds after the beginning of a life
    limiter_survives: bool  # a driver's death, as on a cluster
    faults: float  # share of requests that go wrong
    billed: float  # share of the faults that were served, and billed, all the same
    disk_faults: float  # share of writes and reads that raise OSError
    slow_disk: float  # share that take seconds
    outage: tuple[float, float] | None  # seconds from the first beginning, and how long
    late: str  # api.batch.late
    deadline_hours: float
    job_seconds: float

    def api(self) -> Api:
        settings: dict[str, Any] = {
            "base_url": "http://127.0.0.1:1",
            "route": "batch" if self.batch else "online",
            "requests_per_minute": self.per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "in_flight": self.in_flight,
            "timeout_seconds": 30,
            "tries": self.tries,
            "batch": {
                "rows": 4,
                "poll_seconds": 20,
                "late": self.late,
                "deadline_hours": self.deadline_hours,
            },
        }
        return Api.model_validate(settings)


def draw(seed: int) -> Scenario:
    """A third of all seeds has no fault of a kind, so that the others are not hidden behind it."""
    rng = random.Random(f"scenario {seed}")

    def sometimes(most: float) -> float:
        return rng.choice([0.0, rng.uniform(0, most), rng.uniform(0, most)])

    n = rng.randint(2, 14)
    return Scenario(
        batch=rng.random() < 0.4,
        rows=n,
        contents=max(1, n - rng.choice([0, 0, 1, 2])),
        actors=rng.randint(1, 2),
        in_flight=rng.randint(1, 5),
        per_minute=rng.choice([3, 5, 10, 60, 1000]),
        tokens_per_minute=rng.choice([60, 200, 1_000_000, 1_000_000]),
        tries=rng.randint(1, 4),
        budget_share=rng.choice([None, 0.3, 0.7, 1.2, 5.0]),
        kills=tuple(int(10 ** rng.uniform(1.0, 3.3)) for _ in range(rng.choice([0, 1, 1, 2, 3]))),
        actor_deaths=tuple(10 ** rng.uniform(-1, 2) for _ in range(rng.choice([0, 0, 1, 2]))),
        limiter_survives=rng.random() < 0.4,
        faults=sometimes(0.6),
        billed=rng.uniform(0, 1),
        disk_faults=sometimes(0.04),
        slow_disk=sometimes(0.1),
        outage=(rng.uniform(0, 60), 10 ** rng.uniform(1, 3)) if rng.random() < 0.2 else None,
        late=rng.choice(["online", "stay"]),
        deadline_hours=rng.choice([0.02, 26.0, 26.0]),
        job_seconds=10 ** rng.uniform(0, 3.5),
    )
