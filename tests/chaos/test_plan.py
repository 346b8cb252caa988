"""What is drawn from a seed, what the faulty store answers, and what counts as a difference."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.outcome import Met, Outcome, bound_of
from tests.chaos.plan import DISK, KINDS, LATEST, STORE, draw
from tests.chaos.store import FaultyStore
from tests.chaos.study import TABLES, differences


def test_a_seed_is_always_the_same_plan() -> None:
    assert [draw(seed) for seed in range(50)] == [draw(seed) for seed in range(50)]
    assert draw(0).faults == ()


def test_twenty_seeds_have_every_kind_of_fault() -> None:
    kinds = {fault.kind for seed in range(1, 21) for fault in draw(seed).faults}
    assert kinds == set(KINDS)


@pytest.mark.parametrize("seed", range(1, 200))
def test_faults_come_in_order_where_they_can(seed: int) -> None:
    plan = draw(seed)
    first, second = plan.faults
    paid = first.stage == second.stage == "predictions"
    assert first.stage >= second.stage, "scripts first"
    assert first.share <= second.share or first.stage != second.stage or (paid and second.kind == "gcs")
    assert not (paid and first.kind == "gcs"), "actors that live on leave nothing to be hit"
    assert all(0.1 <= fault.share <= LATEST for fault in plan.faults)
    assert first.kind != second.kind
    assert not {first.kind, second.kind} & set(STORE if plan.place == "disk" else DISK)


class Server:
    """An application that lists what was put."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "PUT":
            self.names.append(environ["PATH_INFO"])
        start("200 OK", [])
        return [" ".join(self.names).encode()]


def ask(app: FaultyStore, path: str, method: str = "GET", query: str = "") -> tuple[str, bytes]:
    status: list[str] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": query}
    data = b"".join(app(environ, lambda code, headers: status.append(code)))
    return status[0], data


def test_a_faulty_store_fails_and_shows_stale_lists() -> None:
    app = FaultyStore(Server())
    ask(app, "/a", "PUT")
    assert ask(app, "/", query="list-type=2") == ("200 OK", b"/a")
    app.fault = "store_lists_are_stale"
    ask(app, "/b", "PUT")
    assert ask(app, "/", query="list-type=2") == ("200 OK", b"/a")
    assert ask(app, "/b") == ("200 OK", b"/a /b")
    app.fault = "store_fails"
    assert ask(app, "/b")[0] == "503 Slow Down"
    app.fault = ""
    assert ask(app, "/", query="list-type=2") == ("200 OK", b"/a /b")


def test_a_row_that_lacks_repeats_or_differs_is_told() -> None:
    calm = {stage: [{"video_id": "a", "x": 1}, {"video_id": "b", "x": 2}] for stage in TABLES}
    assert differences(calm, calm) == []
    got = {
        **calm,
        "scripts": [{"video_id": "a", "x": 1}, {"video_id": "a", "x": 1}, {"video_id": "c", "x": 1}],
    }
    assert sorted(differences(got, calm)) == [
        "scripts: a 2 times",
        "scripts: b 0 times",
        "scripts: c 1 times",
    ]
    got = {**calm, "predictions": [{"video_id": "a", "x": 1}, {"video_id": "b", "x": 3}]}
    assert differences(got, calm) == ["predictions: b.x"]


def test_the_bound_has_a_call_for_each_row_and_those_under_way_at_a_fault() -> None:
    at = 1000.0
    paid = [at - 50, at - 1.5, at - 0.5, at + 0.5, at + 50]
    assert bound_of(5, [], paid) == 5
    assert bound_of(5, [Met("driver", 1, at, at)], paid) == 5 + 3
    assert bound_of(5, [Met("disk_full", 1, at, at + 60)], paid) == 5 + 4
    many = [at] * 100
    assert bound_of(100, [Met("driver", 1, at, at)], many) == 100 + 8


def test_an_outcome_holds_only_where_nothing_is_wrong() -> None:
    good = Outcome(1, "disk", paid=31, bound=32)
    assert good.holds
    for wrong in ({"error": "x"}, {"different": ["x"]}, {"missed": ["x"]}, {"unclear": ["x"]}, {"paid": 33}):
        assert not replace(good, **wrong).holds
