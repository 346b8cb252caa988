"""The server that the tests of paid models ask, by raw HTTP alone: it does what its switches say."""

import base64
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.fixtures.llm_server import RATES, VIDEO_TOKENS, LlmServer, Rule, Trouble, by_size, serving

MODEL = "gemini-3.5-flash-lite"
RATE = RATES[MODEL]
ROOT = Path(__file__).parents[2]


class Got(NamedTuple):
    """A reply as it came; status 0: the connection broke."""

    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


def send(url: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Got:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, data, headers or {})
        reply = connection.getresponse()
        return Got(reply.status, dict(reply.headers), reply.read())
    except OSError:
        return Got(0, {}, b"")
    finally:
        connection.close()


def request(text: str, **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def generate(url: str, text: str = "What happens here?", *, model: str = MODEL, **more: Any) -> Got:
    return send(url, "POST", f"/v1beta/models/{model}:generateContent", request(text, **more))


def always(name: str, seconds: float = 0.0, **where: Any) -> LlmServer:
    return LlmServer(rules=[Rule(Trouble(name, seconds), **where)])


@contextmanager
def alone(*words: str) -> Iterator[str]:
    """The server in a process that has the standard library alone, and in which tikval cannot be imported."""
    absent = "import runpy, sys; sys.modules['tikval'] = None; "
    code = absent + "runpy.run_module('tests.fixtures.llm_server', None, '__main__')"
    command = [sys.executable, "-S", "-c", code, *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def test_it_runs_without_tikval_and_bills_in_its_journal_before_it_replies(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    with alone("--journal", str(journal)) as url:
        text = "wörds of four bytes each"
        reply = generate(url, text)
        [line] = [json.loads(line) for line in journal.read_text().splitlines()]
    usage = reply.json["usageMetadata"]
    assert usage["promptTokenCount"] == line["tokens_in"] == -(-len(text.encode()) // 4)
    out = usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    assert line["tokens_out"] == out
    assert line["billed_usd"] == pytest.approx((line["tokens_in"] * 0.30 + out * 2.50) / 1e6)
    assert (line["kind"], line["model"], line["outcome"], line["route"]) == (
        "generate",
        MODEL,
        "ok",
        "online",
    )


def test_media_are_billed_from_their_bytes() -> None:
    inline = {"inlineData": {"mimeType": "video/mp4", "data": base64.b64encode(b"x" * 5000).decode()}}
    body = {"systemInstruction": {"parts": [{"text": "sixteen letters."}]}, "contents": [{"parts": [inline]}]}
    with serving(LlmServer()) as fake:
        send(fake.url, "POST", f"/v1beta/models/{MODEL}:generateContent", body)
        fake.video_tokens = by_size
        send(fake.url, "POST", f"/v1beta/models/{MODEL}:generateContent", body)
    assert [call.tokens_in for call in fake.calls] == [4 + VIDEO_TOKENS, 4 + 32 + 4]
    assert fake.calls[0].billed_usd == pytest.approx(
        ((4 + VIDEO_TOKENS) * RATE.input + fake.calls[0].tokens_out * RATE.output) / 1e6
    )


def test_another_models_rates_may_bill_and_a_model_without_rates_is_free() -> None:
    with serving(LlmServer()) as fake:
        generate(fake.url, model="my-own")
        fake.model = MODEL
        generate(fake.url, model="my-own")
    assert fake.calls[0].billed_usd == 0 < fake.calls[1].billed_usd


# -- replies without what a bill can be checked by


@pytest.mark.parametrize(
    ("name", "billed", "usage", "version", "text"),
    [
        ("no_usage", True, False, True, True),
        ("no_version", True, True, False, True),
        ("empty_billed", True, True, True, False),
        ("empty_unbilled", False, True, True, False),
        ("blocked_billed", True, True, True, False),
        ("blocked_prompt", False, True, True, False),
    ],
)
@pytest.mark.parametrize("kind", ["generate", "chat"])
def test_replies_that_lack_something(
    name: str, kind: str, *, billed: bool, usage: bool, version: bool, text: bool
) -> None:
    with serving(always(name, kind=kind)) as fake:
        if kind == "generate":
            reply = generate(fake.url).json
            parts = reply.get("candidates", [{"content": {"parts": []}}])[0]["content"]["parts"]
            texts = [part["text"] for part in parts if not part.get("thought")]
            names = ("usageMetadata", "modelVersion")
        else:
            body = {"model": MODEL, "messages": [{"role": "user", "content": "What happens?"}]}
            reply = send(fake.url, "POST", "/v1/chat/completions", body).json
            texts = [reply["choices"][0]["message"]["content"]]
            names = ("usage", "model")
    [call] = fake.calls
    assert call.outcome == name
    assert [bool(call.billed_usd), *(key in reply for key in names), any(texts)] == [
        billed,
        usage,
        version,
        text,
    ]


def test_a_blocked_prompt_is_billed_for_its_input_alone() -> None:
    with serving(always("blocked_billed")) as fake:
        reply = generate(fake.url, "sixteen letters.").json
    assert reply["usageMetadata"]["promptTokenCount"] == 4
    assert reply["usageMetadata"]["candidatesTokenCount"] == reply["usageMetadata"]["thoughtsTokenCount"] == 0
    assert fake.billed_usd() == pytest.approx(4 * RATE.input / 1e6)


def test_counts_that_are_none() -> None:
    with serving(always("bad_usage")) as fake:
        usage = generate(fake.url).json["usageMetadata"]
    assert usage["promptTokenCount"] > 10**9
    assert usage["candidatesTokenCount"] < 0 < fake.billed_usd()


# -- quotas


def quotas_of(reply: Got) -> tuple[float | None, str | None]:
    """Seconds of the RetryInfo, and the name of the quota."""
    details = reply.json["error"].get("details", [])
    waits = [float(part["retryDelay"].removesuffix("s")) for part in details if "retryDelay" in part]
    names = [part["violations"][0]["quotaId"] for part in details if "violations" in part]
    return next(iter(waits), None), next(iter(names), None)


def test_requests_per_minute_are_of_its_own_rolling_window() -> None:
    with serving(LlmServer(requests_per_minute=2, window_seconds=2.0)) as fake:
        first = [generate(fake.url).status for _ in range(3)]
        refused = generate(fake.url)
        other = generate(fake.url, model="another").status
        wait, quota = quotas_of(refused)
        assert wait is not None
        time.sleep(wait + 0.05)
        later = generate(fake.url).status
    assert (first, refused.status, other, later) == ([200, 200, 429], 429, 200, 200)
    assert 0 < wait <= 2
    assert quota is None
    assert [call.billed_usd for call in fake.calls if call.outcome == "rate_limited_info"] == [0, 0]


def test_tokens_per_minute_count_the_prompt() -> None:
    with serving(LlmServer(tokens_per_minute=100)) as fake:
        found = [generate(fake.url, "x" * letters).status for letters in (200, 160, 80)]
    assert found == [200, 200, 429]


@pytest.mark.parametrize("wait", [None, 36_000.0])
def test_a_quota_of_the_day(wait: float | None) -> None:
    with serving(LlmServer(quota_of_day=2, quota_wait_seconds=wait)) as fake:
        replies = [generate(fake.url) for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 429, 429]
    assert quotas_of(replies[3]) == (wait, "GenerateRequestsPerDayPerProjectPerModel")


def test_a_cap_of_spending() -> None:
    batch = {"batch": {"inputConfig": {"requests": {"requests": [{"request": request("Q")}]}}}}
    with serving(LlmServer(spending_usd=1e-9)) as fake:
        replies = [generate(fake.url) for _ in range(2)]
        replies.append(send(fake.url, "POST", f"/v1beta/models/{MODEL}:batchGenerateContent", batch))
    assert [reply.status for reply in replies] == [200, 429, 429]
    assert all("exceeded its monthly spending cap" in reply.message for reply in replies[1:])
    assert quotas_of(replies[1]) == (None, None)


# -- outages


def test_an_outage_by_count_answers_503_and_names_no_wait() -> None:
    with serving(LlmServer(outage_after=1, outage_requests=2)) as fake:
        replies = [generate(fake.url, f"{n}") for n in range(4)]
    assert [reply.status for reply in replies] == [200, 503, 503, 200]
    assert "Retry-After" not in replies[1].headers
    assert [call.outcome for call in fake.calls] == ["ok", "unavailable", "unavailable", "ok"]


@pytest.mark.parametrize(("kind", "journalled"), [("503", True), ("reset", True), ("refused", False)])
def test_an_outage_by_time(kind: Any, journalled: bool) -> None:
    with serving(LlmServer(outages=[(0.0, 2.0)], outage_kind=kind)) as fake:
        time.sleep(0.2)
        during = generate(fake.url).status
        seen = len(fake.calls)
        time.sleep(2.0)
        after = generate(fake.url).status
    assert (during, after) == (503 if kind == "503" else 0, 200)
    assert (seen > 0) == journalled
    assert [call.billed_usd for call in fake.calls[:seen]] == [0] * seen


def test_an_outage_of_a_server_elsewhere_is_switched_on_and_off() -> None:
    with alone("--switches", '{"requests_per_minute": 50}') as url:
        first = generate(url)
        on = send(url, "POST", "/control", {"outage": True, "outage_kind": "reset"})
        during = generate(url)
        send(url, "POST", "/control", {"outage": False})
        rule = {"trouble": {"name": "no_usage"}, "share": 1.0}
        send(url, "POST", "/control", {"rules": [rule]})
        after = generate(url)
        wrong = send(url, "POST", "/control", {"no_switch": 1})
        counters = send(url, "GET", "/control").json
    assert [reply.status for reply in (first, during, after, wrong)] == [200, 0, 200, 400]
    assert "usageMetadata" not in after.json
    assert on.json["outage"] is True
    assert (counters["outage"], counters["requests"], counters["files"]) == (False, 3, [])
    assert counters["billed_usd"] == pytest.approx(2 * on.json["billed_usd"])


# -- files


def upload(url: str, data: bytes, name: str | None = None, mime: str = "video/mp4") -> Got:
    """In two parts, as the SDK does."""
    begun = begin_upload(url, name, mime)
    if begun.status != 200:
        return begun
    half = len(data) // 2
    put(begun, data[:half], 0)
    return put(begun, data[half:], half, "upload, finalize")


def begin_upload(url: str, name: str | None, mime: str = "video/mp4") -> Got:
    file = {"file": {"mimeType": mime, **({"name": name} if name else {})}}
    return send(url, "POST", "/upload/v1beta/files", file, {"X-Goog-Upload-Command": "start"})


def put(begun: Got, data: bytes, offset: int, command: str = "upload") -> Got:
    url, _, path = begun.headers["X-Goog-Upload-URL"].partition("/upload/")
    headers = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(offset)}
    return send(url, "POST", f"/upload/{path}", data, headers)


def test_a_file_is_uploaded_asked_about_listed_and_deleted() -> None:
    with serving(LlmServer(media=[], processing=1)) as fake:
        uploaded = upload(fake.url, b"moving pictures", "files/tikval-1").json["file"]
        states = [send(fake.url, "GET", "/v1beta/files/tikval-1").json["state"] for _ in range(2)]
        part = {"fileData": {"fileUri": uploaded["uri"], "mimeType": "video/mp4"}}
        body = {"contents": [{"parts": [part]}]}
        send(fake.url, "POST", f"/v1beta/models/{MODEL}:generateContent", body)
        again = begin_upload(fake.url, "files/tikval-1").status
        taken = send(fake.url, "GET", "/v1beta/files/tikval-1:download?alt=media").status
        gone = [send(fake.url, "DELETE", "/v1beta/files/tikval-1").status for _ in range(2)]
        none = send(fake.url, "GET", "/v1beta/files").json
    assert uploaded["state"] == "PROCESSING"
    assert fake.media == [b"moving pictures"]
    assert states == ["PROCESSING", "ACTIVE"]
    assert (again, taken, gone, none) == (409, 400, [200, 403], {"files": []})
    assert fake.of("generate")[0].tokens_in == VIDEO_TOKENS
    assert fake.of("generate")[0].content_sha == fake.of("upload")[0].content_sha


def test_files_are_listed_page_by_page() -> None:
    with serving(LlmServer()) as fake:
        for n in range(5):
            upload(fake.url, b"%d" % n, f"files/{n}")
        begin_upload(fake.url, "files/begun")
        found, token = list[str](), ""
        while True:
            reply = send(fake.url, "GET", f"/v1beta/files?pageSize=2{token}").json
            found += [file["name"] for file in reply["files"]]
            assert len(reply["files"]) <= 2
            if "nextPageToken" not in reply:
                break
            token = f"&pageToken={reply['nextPageToken']}"
    assert found == [f"files/{n}" for n in range(5)]


@pytest.mark.parametrize(("name", "status"), [("forbidden", 403), ("too_large", 413)])
@pytest.mark.parametrize("kind", ["start", "upload"])
def test_a_refused_upload(name: str, status: int, kind: str) -> None:
    with serving(always(name, kind=kind)) as fake:
        reply = upload(fake.url, b"moving pictures")
    assert reply.status == status
    assert (reply.headers.get("X-Goog-Upload-Status") == "final") == (kind == "upload")
    assert [(call.kind, call.outcome) for call in fake.calls] == [(kind, name)]


@pytest.mark.parametrize(("name", "status"), [("server_error", 500), ("unavailable", 503)])
def test_an_upload_whose_last_part_fails_once_takes_the_part_again(name: str, status: int) -> None:
    with serving(always(name, kind="upload", first=1)) as fake:
        begun = begin_upload(fake.url, "files/a")
        put(begun, b"moving ", 0)
        last = [put(begun, b"pictures", 7, "upload, finalize") for _ in range(2)]
    assert [reply.status for reply in last] == [status, 200]
    assert "X-Goog-Upload-Status" not in last[0].headers
    assert last[1].json["file"]["sizeBytes"] == str(len(b"moving pictures"))


def test_processing_fails_the_first_times() -> None:
    with serving(always("failed_file", kind="upload", first=2)) as fake:
        files = [upload(fake.url, b"moving pictures", f"files/{n}").json["file"] for n in range(3)]
    assert [file["state"] for file in files] == ["FAILED", "FAILED", "ACTIVE"]
    assert "error" in files[0]


def test_a_delete_fails_the_first_times() -> None:
    with serving(always("unavailable", kind="delete", first=2)) as fake:
        upload(fake.url, b"moving pictures", "files/a")
        found = [send(fake.url, "DELETE", "/v1beta/files/a").status for _ in range(3)]
    assert (found, fake.files) == ([503, 503, 200], {})


@pytest.mark.parametrize(("name", "there"), [("reset", False), ("reset_before", True)])
def test_an_answer_is_lost_after_it_was_done_or_before(name: str, there: bool) -> None:
    with serving(always(name, kind="delete", first=1)) as fake:
        upload(fake.url, b"moving pictures", "files/a")
        assert send(fake.url, "DELETE", "/v1beta/files/a").status == 0
        assert bool(fake.files) == there


def test_a_rule_of_a_trouble_that_is_none() -> None:
    with pytest.raises(ValueError, match="no trouble 'no_usge'"):
        always("no_usge")
