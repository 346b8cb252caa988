"""The batch jobs of the tests' server, by raw HTTP, and as the SDK reads them."""

import json
import math
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.llm_server import VIDEO_TOKENS, LlmServer, Rule, Tokens, Trouble, serving
from tests.llm.test_llm_server import MODEL, RATE, Got, alone, generate, request, send, upload

N = 6


def lines(n: int = N, **more: Any) -> bytes:
    rows = [{"key": f"row-{i}", "request": request(f"Question {i}", **more)} for i in range(n)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def create(url: str, data: bytes | None = None, display: str = "a job") -> Got:
    """Upload the lines and make a job of them."""
    name = upload(url, lines() if data is None else data, mime="jsonl").json["file"]["name"]
    batch = {"displayName": display, "inputConfig": {"fileName": name}}
    return send(url, "POST", f"/v1beta/models/{MODEL}:batchGenerateContent", {"batch": batch})


def poll(url: str, job: str) -> Any:
    return send(url, "GET", f"/v1beta/{job}").json


def results(url: str, job: str) -> list[dict[str, Any]]:
    name = poll(url, job)["metadata"]["output"]["responsesFile"]
    data = send(url, "GET", f"/download/v1beta/{name}:download?alt=media").data
    return [json.loads(line) for line in data.splitlines()]


def job_of(fake: LlmServer, *names: str, share: float = 0.5, data: bytes | None = None) -> str:
    fake.rules = [*fake.rules, *(Rule(Trouble(name, share=share), kind="batch") for name in names)]
    return str(create(fake.url, data).json["name"])


def test_a_job_goes_its_way_and_each_row_is_billed_once_at_half_the_price() -> None:
    with serving(LlmServer(batch_seconds=3.0)) as fake:
        made = create(fake.url).json
        states = [made["metadata"]["state"]]
        time.sleep(1.7)
        states.append(poll(fake.url, made["name"])["metadata"]["state"])
        unbilled = fake.billed_usd()
        time.sleep(1.5)
        done = poll(fake.url, made["name"])
        found = results(fake.url, made["name"])
        online = generate(fake.url, "Question 0").json
    assert [*states, done["metadata"]["state"]] == [
        f"BATCH_STATE_{s}" for s in ("PENDING", "RUNNING", "SUCCEEDED")
    ]
    assert (unbilled, done["done"], done["metadata"]["displayName"]) == (0, True, "a job")
    assert done["metadata"]["batchStats"] == {"requestCount": "6", "successfulRequestCount": "6"}
    assert [result["key"] for result in found] == [f"row-{n}" for n in range(N)]
    assert found[0]["response"]["candidates"] == online["candidates"], "the same answer on both routes"
    rows = [call for call in fake.of("generate") if call.route == "batch"]
    assert [call.row for call in rows] == [f"row-{n}" for n in range(N)]
    last = fake.calls[-1]
    assert (last.key, last.nth, last.route) == (rows[0].key, 1, "online"), (
        "a row asked twice is seen by its key"
    )
    assert rows[0].billed_usd == pytest.approx(last.billed_usd / 2)
    half = RATE.usd(Tokens(rows[0].tokens_in, tokens_out=rows[0].tokens_out)) / 2
    assert rows[0].billed_usd == pytest.approx(half)


def test_a_job_waits_until_it_is_told() -> None:
    with serving(LlmServer(batch_seconds=None)) as fake:
        name = job_of(fake)
        waits = send(fake.url, "GET", "/control").json["jobs"]
        send(fake.url, "POST", "/control", {"finish_jobs": True})
        ended = send(fake.url, "GET", "/control").json
    assert waits == {name: "BATCH_STATE_PENDING"}
    assert ended["jobs"] == {name: "BATCH_STATE_SUCCEEDED"}
    assert ended["billed_usd"] > 0


def test_files_of_a_row_are_billed_and_one_that_is_gone_fails_its_row() -> None:
    with serving(LlmServer(batch_seconds=None)) as fake:
        rows = []
        for name in ("there", "gone"):
            uri = upload(fake.url, b"moving", f"files/{name}").json["file"]["uri"]
            part = {"file_data": {"file_uri": uri, "mime_type": "video/mp4"}}
            rows.append({"key": name, "request": {"contents": [{"parts": [part]}]}})
        job = job_of(fake, data="\n".join(map(json.dumps, rows)).encode())
        send(fake.url, "DELETE", "/v1beta/files/gone")
        send(fake.url, "POST", "/control", {"finish_jobs": True})
        found = results(fake.url, job)
        stats = poll(fake.url, job)["metadata"]["batchStats"]
    assert [next(reversed(result)) for result in found] == ["response", "error"]
    assert "do not have permission to access the File" in found[1]["error"]["message"]
    assert [call.tokens_in for call in fake.of("generate")] == [VIDEO_TOKENS, 0]
    assert stats == {"requestCount": "2", "successfulRequestCount": "1", "failedRequestCount": "1"}


def test_requests_may_be_inline() -> None:
    rows = [{"request": request("Q"), "metadata": {"key": "a_b", "own_name": "1"}}]
    batch = {"batch": {"displayName": "d", "inputConfig": {"requests": {"requests": rows}}}}
    with serving(LlmServer()) as fake:
        job = send(fake.url, "POST", f"/v1beta/models/{MODEL}:batchGenerateContent", batch).json["name"]
        [result] = poll(fake.url, job)["metadata"]["output"]["inlinedResponses"]["inlinedResponses"]
    assert result["metadata"] == {"key": "a_b", "own_name": "1"}
    assert result["response"]["candidates"]
    assert fake.of("generate")[0].row == "a_b"


def test_a_job_of_nothing_or_of_a_file_that_is_none_is_refused() -> None:
    with serving(LlmServer()) as fake:
        found = [create(fake.url, data).status for data in (b"", b"{", b'{"key": "a"}\n')]
        batch = {"batch": {"inputConfig": {"fileName": "files/none"}}}
        path = f"/v1beta/models/{MODEL}:batchGenerateContent"
        found.append(send(fake.url, "POST", path, batch).status)
    assert (found, fake.jobs) == ([400] * 4, {})


def test_a_line_in_the_sdks_own_shape_is_no_request() -> None:
    with serving(LlmServer()) as fake:
        [result] = results(fake.url, job_of(fake, data=lines(1, config={"temperature": 0})))
    assert result["error"] == {"code": 3, "message": 'Invalid JSON payload received. Unknown name "config"'}
    assert fake.billed_usd() == 0


def test_jobs_are_listed_newest_first_page_by_page_and_deleted() -> None:
    with serving(LlmServer()) as fake:
        names = [create(fake.url, display=f"job {n}").json["name"] for n in range(3)]
        first = send(fake.url, "GET", "/v1beta/batches?pageSize=2").json
        rest = send(fake.url, "GET", f"/v1beta/batches?pageSize=2&pageToken={first['nextPageToken']}").json
        found = [job["name"] for job in first["operations"] + rest["operations"]]
        gone = [send(fake.url, "DELETE", f"/v1beta/{names[0]}").status for _ in range(2)]
        assert send(fake.url, "GET", f"/v1beta/{names[0]}").status == 404
    assert (found, "nextPageToken" in rest, gone) == (names[::-1], False, [200, 404])


@pytest.mark.parametrize(("name", "taken"), [("reset", 1), ("reset_before", 0), ("unavailable", 0)])
def test_the_answer_to_create_is_lost_after_the_job_was_taken_or_before(name: str, taken: int) -> None:
    with serving(LlmServer(rules=[Rule(Trouble(name), kind="batch", first=1)])) as fake:
        assert create(fake.url).status == (503 if name == "unavailable" else 0)
        jobs = send(fake.url, "GET", "/v1beta/batches").json["operations"]
        assert len(jobs) == taken
        assert create(fake.url).status == 200
    assert [call.outcome for call in fake.of("batch")] == [name, "ok"]


def test_a_job_may_be_stuck() -> None:
    with serving(LlmServer()) as fake:
        job = job_of(fake, "stuck_job")
        found = poll(fake.url, job)
        assert (found["metadata"]["state"], "done" in found) == ("BATCH_STATE_RUNNING", False)
        send(fake.url, "POST", f"/v1beta/{job}:cancel")
        assert poll(fake.url, job)["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    assert fake.billed_usd() == 0


@pytest.mark.parametrize(
    ("name", "state", "counts", "done"),
    [
        ("failed_job", "BATCH_STATE_FAILED", {}, 0),
        ("failed_job_counted", "BATCH_STATE_FAILED", {"pendingRequestCount": "6"}, 0),
        (
            "expired_job",
            "BATCH_STATE_EXPIRED",
            {"pendingRequestCount": "3", "successfulRequestCount": "3"},
            3,
        ),
        (
            "cancelled_job",
            "BATCH_STATE_CANCELLED",
            {"pendingRequestCount": "3", "successfulRequestCount": "3"},
            3,
        ),
        (
            "partial_job",
            "JOB_STATE_PARTIALLY_SUCCEEDED",
            {"pendingRequestCount": "3", "successfulRequestCount": "3"},
            3,
        ),
    ],
)
def test_a_job_ends_early_with_a_part_of_its_rows(
    name: str, state: str, counts: dict[str, str], done: int
) -> None:
    with serving(LlmServer()) as fake:
        job = job_of(fake, name)
        metadata = poll(fake.url, job)["metadata"]
        found = results(fake.url, job) if done else []
    assert metadata["state"] == state
    assert metadata["batchStats"] == {"requestCount": "6", **counts}
    assert ("output" in metadata) == bool(done)
    assert [result["key"] for result in found] == [f"row-{n}" for n in range(done)]
    assert sum(call.billed_usd > 0 for call in fake.of("generate")) == done


def test_a_job_that_is_cancelled_keeps_what_was_done() -> None:
    with serving(LlmServer(batch_seconds=None, cancelled_share=1 / 3)) as fake:
        job = job_of(fake)
        send(fake.url, "POST", f"/v1beta/{job}:cancel")
        assert len(results(fake.url, job)) == 2
        assert poll(fake.url, job)["metadata"]["state"] == "BATCH_STATE_CANCELLED"


def test_results_come_shuffled_with_some_twice_and_some_of_nobody() -> None:
    with serving(LlmServer()) as fake:
        keys = [
            result["key"]
            for result in results(fake.url, job_of(fake, "shuffled", "duplicated", "unknown_keys"))
        ]
    expected = [f"row-{n}" for n in range(N)] + [f"row-{n}" for n in range(3)] + ["nobody"]
    assert keys != expected
    assert Counter(keys) == Counter(expected)
    assert len(fake.of("generate")) == N, "billed once all the same"


def test_results_are_cut_in_the_middle_of_a_line() -> None:
    with serving(LlmServer()) as fake:
        name = poll(fake.url, job_of(fake, "truncated"))["metadata"]["output"]["responsesFile"]
        data = send(fake.url, "GET", f"/v1beta/{name}:download?alt=media").data
    whole, cut = data.splitlines()[:-1], data.splitlines()[-1]
    assert [json.loads(line)["key"] for line in whole] == ["row-0", "row-1", "row-2"]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(cut)
    assert len(fake.of("generate")) == N


def test_results_may_be_gone() -> None:
    with serving(LlmServer()) as fake:
        name = poll(fake.url, job_of(fake, "results_gone"))["metadata"]["output"]["responsesFile"]
        assert send(fake.url, "GET", f"/v1beta/{name}:download?alt=media").status == 403


def test_single_rows_fail() -> None:
    rules = [
        Rule(Trouble("error_13"), match="Question 1", route="batch"),
        Rule(Trouble("rate_limited"), match="Question 2", route="batch"),
        Rule(Trouble("safety"), match="Question 3", route="batch"),
        Rule(Trouble("rejected"), match="Question 4"),  # online only
    ]
    with serving(LlmServer(rules=rules)) as fake:
        found = results(fake.url, job_of(fake))
    assert [result.get("error", {}).get("code") for result in found] == [None, 13, 8, None, None, None]
    assert found[3]["response"]["candidates"][0]["finishReason"] == "SAFETY"
    assert [call.outcome for call in fake.of("generate")] == [
        "ok",
        "error_13",
        "rate_limited",
        "safety",
        "ok",
        "ok",
    ]
    assert [call.billed_usd > 0 for call in fake.of("generate")] == [True, False, False, True, True, True]


def test_a_job_is_ended_in_another_process(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    with alone("--journal", str(journal), "--switches", '{"batch_seconds": null}') as url:
        job = create(url).json["name"]
        send(url, "POST", "/control", {"finish_jobs": "expired_job"})
        assert poll(url, job)["metadata"]["state"] == "BATCH_STATE_EXPIRED"
    rows = [
        line["row"] for line in map(json.loads, journal.read_text().splitlines()) if line["route"] == "batch"
    ]
    assert rows == ["row-0", "row-1", "row-2"]


def test_the_sdk_reads_all_of_it(tmp_path: Path) -> None:
    from google import genai
    from google.genai import types

    (tmp_path / "rows.jsonl").write_bytes(lines())
    with serving(LlmServer()) as fake:
        client = genai.Client(api_key="a-key", http_options={"base_url": fake.url, "api_version": "v1beta"})
        file = client.files.upload(
            file=tmp_path / "rows.jsonl", config={"name": "files/tikval-a", "mime_type": "jsonl"}
        )
        job = client.batches.create(model=MODEL, src=str(file.name), config={"display_name": "tikval-1"})
        job = client.batches.get(name=str(job.name))
        listed = [(job.name, job.display_name) for job in client.batches.list(config={"page_size": 1})]
        assert job.dest is not None
        data = client.files.download(file=str(job.dest.file_name))
        files = {
            file.name: file.source and file.source.value
            for file in client.files.list(config={"page_size": 1})
        }
        client.batches.cancel(name=str(job.name))
        client.batches.delete(name=str(job.name))
        inline = client.batches.create(
            model=MODEL, src=[types.InlinedRequest(contents="Q", metadata={"key": "a"})]
        )
        inline = client.batches.get(name=str(inline.name))
    assert (job.done, job.state and job.state.value, job.model) == (
        True,
        "JOB_STATE_SUCCEEDED",
        f"models/{MODEL}",
    )
    assert listed == [(job.name, "tikval-1")]
    assert len(data.splitlines()) == N
    assert files == {"files/tikval-a": "UPLOADED", job.dest.file_name: "GENERATED"}
    assert inline.dest is not None
    assert inline.dest.inlined_responses is not None
    [reply] = inline.dest.inlined_responses
    assert reply.metadata == {"key": "a"}
    assert reply.response is not None
    assert reply.response.model_version == MODEL
    assert math.isclose(fake.billed_usd(), sum(call.billed_usd for call in fake.of("generate")))
