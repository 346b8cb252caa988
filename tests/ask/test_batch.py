"""Batch jobs fill the ledger: over HTTP, against the server's own bill, without Ray."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.batch_run import FOLDER, KEY, Way, api_of, rows_of
from tests.fixtures.llm_server import Ask, LlmServer, Rule, Trouble, serving
from tests.fixtures.photos import SECRETS, dressed_post
from tikval.config import Limits, UserError
from tikval.llm.batch_jobs import JobFiles
from tikval.llm.gate import Spent, read_spent
from tikval.llm.gemini_batch import GeminiBatches
from tikval.media.fetch import StrippedVideos


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


class First(Rule):
    """A trouble of the first request of its kind, whatever that asks."""

    def applies(self, ask: Ask) -> bool:
        return ask.kind == self.kind and MET.setdefault(self.trouble.name, ask.key) == ask.key


MET: dict[str, str] = {}


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


def test_a_photo_post_goes_inside_its_request(tmp_path: Path) -> None:
    """By batch as online: its pictures in order and its sound; nothing is uploaded for it."""
    files = dressed_post(tmp_path)
    bodies = []
    for route in ("batch", "online"):
        with serving(LlmServer(media=[])) as fake:
            way = Way(
                tmp_path / route, api_of(fake.url, route=route), None, StrippedVideos(Limits(seconds=60))
            )
            answers = way.run([{**rows_of(1)[0], "files": files, "seconds": 9.0, "has_sound": True}])
            assert [answer["error"] for answer in answers] == [None]
            assert fake.media is not None
            assert not any(secret in data for data in fake.media for secret in SECRETS)
            assert Counter(asked_by(fake)[route].values()) == {1: 1}
            bodies.append(fake.bodies[-1])
    kinds = [part["inlineData"]["mimeType"] for part in bodies[0]["contents"][0]["parts"][1:]]
    assert kinds == ["image/jpeg"] * 3 + ["audio/flac"]
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


def test_a_job_whose_creation_had_no_answer_is_found_and_not_made_again(tmp_path: Path) -> None:
    rules = [Rule(Trouble("reset"), kind="batch", first=1)]
    with serving(LlmServer(rules=rules)) as fake:
        answers = Way(tmp_path, api_of(fake.url)).run(rows_of(5))
        assert [answer["error"] for answer in answers] == [None] * 5
        assert len(fake.of("batch")) == 1
        assert len(fake.of("generate")) == 5
        assert spent_in(tmp_path).settled_usd == pytest.approx(fake.billed_usd())
        assert is_clean(fake, tmp_path)


@pytest.mark.parametrize("name", ["reset_before", "server_error", "unavailable", "rate_limited"])
def test_a_job_that_was_not_made_is_undone_and_handed_in_anew(name: str, tmp_path: Path) -> None:
    with serving(LlmServer()) as fake:
        way = Way(tmp_path, api_of(fake.url, tries=1))
        fake.rules = [First(Trouble(name), kind="batch")]
        answers = way.run(rows_of(3))
        assert [answer["error"] for answer in answers] == [None] * 3
        assert {call.route for call in fake.of("generate")} == {"batch"}
        assert len(fake.of("generate")) == 3
        assert len(fake.of("batch")) == 2
        assert spent_in(tmp_path).settled_usd == pytest.approx(fake.billed_usd())
        assert is_clean(fake, tmp_path)


@pytest.mark.parametrize("name", ["rate_limited", "quota_of_day", "spending_cap", "rejected"])
def test_rows_of_a_job_that_is_refused_are_not_asked_at_the_full_price(name: str, tmp_path: Path) -> None:
    with serving(LlmServer(rules=[Rule(Trouble(name), kind="batch")])) as fake:
        answers = Way(tmp_path, api_of(fake.url, tries=1)).run(rows_of(3))
        assert not fake.of("generate"), "late: online is for what a job leaves out"
        assert {answer["error"] for answer in answers} <= {"rate_limited", "not_asked"}
        assert spent_in(tmp_path).settled_usd == 0
        fake.rules = []
        answers = Way(tmp_path, api_of(fake.url)).run(rows_of(3))
        assert [answer["error"] for answer in answers] == [None] * 3
        assert {call.route for call in fake.of("generate")} == {"batch"}
        assert is_clean(fake, tmp_path)


@pytest.mark.parametrize("name", ["bad_key", "unauthorized", "forbidden", "no_model"])
def test_what_no_job_can_succeed_with_stops_the_run_and_costs_nothing(name: str, tmp_path: Path) -> None:
    with serving(LlmServer(rules=[Rule(Trouble(name), kind="batch")])) as fake:
        with pytest.raises(UserError) as caught:
            Way(tmp_path, api_of(fake.url)).run(rows_of(3))
        assert KEY not in str(caught.value)
        fake.rules = []
        answers = Way(tmp_path, api_of(fake.url)).run(rows_of(3))
        assert [answer["error"] for answer in answers] == [None] * 3
        assert spent_in(tmp_path).settled_usd == pytest.approx(fake.billed_usd())
        assert is_clean(fake, tmp_path)


def test_a_budget_holds_for_jobs_and_more_fits_once_some_are_read(tmp_path: Path) -> None:
    most = Way(tmp_path, api_of("http://127.0.0.1:1")).route.costs.most_usd(rows_of(1)[0])
    with serving(LlmServer(answer=lambda ask: "word " * 320)) as fake:  # near the longest reply
        way = Way(tmp_path, api_of(fake.url, late="stay"), budget_usd=3.5 * most)
        answers = way.run(rows_of(12))
        done = [answer for answer in answers if answer["error"] is None]
        assert {answer["error"] for answer in answers} == {None, "over_budget"}
        assert 3 < len(done) == len(fake.of("generate")), "a second job took what the first one left"
        spent = spent_in(tmp_path)
        assert fake.billed_usd() == pytest.approx(spent.settled_usd)
        assert spent.settled_usd <= 3.5 * most
        assert spent.settled_usd + most > 3.5 * most, "no more would have fitted"


def test_a_late_job_is_cancelled_and_only_what_it_can_no_longer_bill_goes_online(tmp_path: Path) -> None:
    late = {"deadline_hours": 1e-5, "late": "online"}
    with serving(LlmServer(batch_seconds=None, cancelled_share=0.5)) as fake:
        answers = Way(tmp_path, api_of(fake.url, **late)).run(rows_of(8))
        assert [answer["error"] for answer in answers] == [None] * 8
        counted = asked_by(fake)
        assert (len(counted["batch"]), len(counted["online"])) == (4, 4)
        assert not counted["batch"].keys() & counted["online"].keys()
        assert spent_in(tmp_path).settled_usd == pytest.approx(fake.billed_usd())
        assert is_clean(fake, tmp_path)


def test_rows_of_a_job_that_cannot_be_cancelled_are_not_asked(tmp_path: Path) -> None:
    late = {"deadline_hours": 1e-5, "poll_seconds": 0.02}
    rules = [Rule(Trouble("unavailable"), kind="batch_cancel")]
    with serving(LlmServer(batch_seconds=None, rules=rules)) as fake:
        answers = Way(tmp_path, api_of(fake.url, **late)).run(rows_of(4))
        assert {answer["error"] for answer in answers} == {"not_asked"}
        assert not fake.of("generate")
        fake.batch_seconds = 0.0
        answers = Way(tmp_path, api_of(fake.url, **late)).run(rows_of(4))
        assert {answer["error"] for answer in answers} == {None}
        assert len(fake.of("generate")) == 4


def test_who_turns_to_the_online_route_gets_his_jobs_cancelled_first(tmp_path: Path) -> None:
    with serving(LlmServer(batch_seconds=None, cancelled_share=0.25)) as fake:
        stay = {"deadline_hours": 1e-5, "late": "stay"}
        held = Way(tmp_path, api_of(fake.url, **stay)).run(rows_of(4))
        assert {answer["error"] for answer in held} == {"not_asked"}
        answers = Way(tmp_path, api_of(fake.url, route="online")).run(rows_of(4))
        assert {answer["error"] for answer in answers} == {None}
        assert Counter(call.route for call in fake.of("generate")) == {"batch": 1, "online": 3}
        assert spent_in(tmp_path).settled_usd == pytest.approx(fake.billed_usd())


def test_one_content_under_two_names_is_one_request(tmp_path: Path) -> None:
    rows = rows_of(4)
    twin = {**rows[0], "video_id": "twin", "row_key": "f" * 32}
    with serving(LlmServer()) as fake:
        answers = Way(tmp_path, api_of(fake.url, rows=2)).run([*rows, twin])
        assert len(fake.of("generate")) == 4
        assert answers[0]["reply"] == answers[4]["reply"]


def test_a_job_s_file_stays_below_its_limit(tmp_path: Path) -> None:
    with serving(LlmServer(batch_seconds=0.3)) as fake:
        sizes: list[int] = []
        way = Way(tmp_path, api_of(fake.url, mb=0.002))
        upload = GeminiBatches.upload

        async def counted(self: GeminiBatches, name: str, path: Path, mime: str | None = None) -> Any:
            sizes.append(path.stat().st_size)
            return await upload(self, name, path, mime)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(GeminiBatches, "upload", counted)
            way.run(rows_of(9))
        assert len(fake.of("batch")) == len(sizes) > 1
        assert max(sizes) <= 0.002 * 2**20


def test_what_is_written_down_of_a_job_holds_no_words(tmp_path: Path) -> None:
    with serving(LlmServer(batch_seconds=None)) as fake:
        stay = {"deadline_hours": 1e-5, "late": "stay"}
        Way(tmp_path, api_of(fake.url, **stay)).run(rows_of(4))
        (place,) = (tmp_path / "batches").glob("*.json")
        assert "Question" not in place.read_text()
        assert '"v1"' in place.read_text()
