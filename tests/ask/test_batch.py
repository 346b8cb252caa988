"""Batch jobs fill the ledger: over HTTP, against the server's own bill, without Ray."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.batch_run import FOLDER, Way, api_of, rows_of
from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tikval.llm.batch_jobs import JobFiles
from tikval.llm.gate import Spent, read_spent


def spent_in(out: Path) -> Spent:
    spent = read_spent(f"{out}/{FOLDER}")
    assert spent is not None
    return spent


def asked_by(fake: LlmServer) -> dict[str, Counter[str]]:
    """How often each row was asked, by route."""
    return {
        route: Counter(call.key for call in fake.of("generate") if call.route == route)
        for route in ("batch", "online")
    }


def of_job(name: str, **more: Any) -> Rule:
    return Rule(Trouble(name, **more), kind="batch")


def is_clean(fake: LlmServer, out: Path) -> bool:
    """Whether nothing of ours is left, neither on the server nor on the disk."""
    return not fake.files and not list(JobFiles(str(out)).all())


def test_rows_are_answered_by_batch_at_half_the_price(tmp_path: Path) -> None:
    videos = [tmp_path / f"{i}.mp4" for i in range(3)]
    for i, video in enumerate(videos):
        video.write_bytes(bytes([i]) * 1000)
    with serving(LlmServer(batch_seconds=0.2, processing=1)) as fake:
        way = Way(tmp_path, api_of(fake.url, rows=4))
        answers = way.run(rows_of(10, videos))
        again = Way(tmp_path, api_of(fake.url)).run(rows_of(10, videos))
    assert [answer["error"] for answer in answers] == [None] * 10
    assert again == answers
    counted = asked_by(fake)
    assert len(counted["batch"]) == 10
    assert set(counted["batch"].values()) == {1}
    assert not counted["online"]
    assert len(fake.of("batch")) == 3
    spent = spent_in(tmp_path)
    assert spent.settled_usd == pytest.approx(fake.billed_usd())
    assert spent.unknown_usd == 0
    assert sum(answer["cost_usd"] or 0 for answer in answers) == pytest.approx(fake.billed_usd())
    assert is_clean(fake, tmp_path)


def test_a_request_is_the_one_that_would_go_online(tmp_path: Path) -> None:
    video = tmp_path / "jane.mov"
    video.write_bytes(b"moving")
    bodies = []
    for route in ("batch", "online"):
        with serving(LlmServer()) as fake:
            api = api_of(fake.url, route=route).model_copy(update={"inline_mb": 0.0})
            Way(tmp_path / route, api).run(rows_of(1, [video]))
        body = fake.bodies[-1]
        body["contents"][0]["parts"][1]["fileData"]["fileUri"] = "..."
        bodies.append(body)
        assert not any("jane" in str(headers) for headers in fake.headers)
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    ("troubles", "online", "unknown"),
    [
        ([of_job("shuffled"), of_job("duplicated"), of_job("unknown_keys")], 0, 0),
        ([of_job("partial_job", share=0.5)], 4, 0),
        ([of_job("expired_job", share=0.25)], 6, 0),
        ([of_job("cancelled_job", share=0.0)], 8, 0),
        ([of_job("failed_job_counted")], 8, 0),
        ([of_job("failed_job")], 8, 8),
        ([of_job("truncated")], 4, 4),
        ([of_job("results_gone")], 8, 8),
        ([Rule(Trouble("error_13"), match="Question 3", route="batch")], 1, 0),
        ([Rule(Trouble("rejected"), match="Question 3", route="batch")], 1, 0),
        ([Rule(Trouble("no_usage"), match="Question 3", route="batch")], 0, 0),
        ([Rule(Trouble("safety"), match="Question 3", route="batch")], 0, 0),
        ([Rule(Trouble("empty_billed"), match="Question 3", route="batch")], 1, 0),
    ],
)
def test_what_a_job_leaves_out_goes_online(
    troubles: list[Rule], online: int, unknown: int, tmp_path: Path
) -> None:
    with serving(LlmServer(rules=troubles)) as fake:
        answers = Way(tmp_path, api_of(fake.url)).run(rows_of(8))
    assert [answer["error"] for answer in answers if answer["error"] != "blocked"] == [None] * (
        8 - (troubles[0].trouble.name == "safety")
    )
    counted = asked_by(fake)
    assert sum(counted["online"].values()) == online
    assert all(n == 1 for n in (*counted["batch"].values(), *counted["online"].values()))
    spent = spent_in(tmp_path)
    assert spent.settled_usd >= fake.billed_usd() - 1e-9
    if unknown or troubles[0].trouble.name == "no_usage":
        assert bool(spent.unknown_usd) == bool(unknown)
    else:
        assert spent.settled_usd == pytest.approx(fake.billed_usd())
    assert is_clean(fake, tmp_path) or troubles[0].trouble.name == "results_gone"
