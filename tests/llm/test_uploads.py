"""What is uploaded is known by name, and deleted by whoever comes next."""

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fixtures.corpus import write_unlike
from tests.fixtures.llm_run import driver
from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tikval.ask.paid import PaidAnswers, asked_of
from tikval.config import Api, ExtractConfig, Gemini, UserError, load_config
from tikval.llm import gemini_remote
from tikval.llm.breaker import Met
from tikval.llm.client import Fault, Question, Reply
from tikval.llm.gate import Admission, Served
from tikval.llm.gemini import GeminiClient
from tikval.llm.gemini_remote import delete_abandoned, start_deleting_abandoned
from tikval.llm.ledger import Ledger
from tikval.llm.prices import load_prices
from tikval.llm.uploads import Uploads, new_name
from tikval.rows import Reason
from tikval.sources.write_catalog import write_catalog
from tikval.store.lock import lock

KEY = "AIzaSy-not-a-key-0123456789"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "jane_doe.mp4"
    path.write_bytes(b"\0\1\2moving pictures" * 1000)
    return path


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(str(tmp_path / "out"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tikval.llm.gemini.DELETE_PAUSES", (0.01, 0.01))
    monkeypatch.setattr("tikval.llm.gemini_remote.DELETE_PAUSES", (0.01, 0.01))
    monkeypatch.setenv("GEMINI_API_KEY", KEY)


@pytest.fixture
def fake() -> Iterator[LlmServer]:
    with serving(LlmServer()) as server:
        yield server


def ask(fake: LlmServer, video: Path, uploads: Uploads | None, **api: Any) -> Reply:
    """One call by way of an upload, then the end of its actor."""

    async def run() -> Reply:
        asked = Api(base_url=fake.url, inline_mb=0, **{"timeout_seconds": 20, **api})
        client = GeminiClient(Gemini(model="gemini-3.8-flash"), asked, KEY, None, uploads=uploads)
        try:
            return await client.ask(Question("What happens?", str(video), video_id="a-video"))
        finally:
            await client.close()

    return asyncio.run(run())


def always(name: str, kind: str, first: int | None = None) -> Rule:
    return Rule(Trouble(name), kind=kind, first=first)


def abandon(fake: LlmServer, video: Path, uploads: Uploads) -> str:
    """Leave a file on the server, as a process does that is killed between its upload and its delete."""
    before, fake.rules = fake.rules, [always("server_error", "delete")]
    ask(fake, video, uploads)
    fake.rules = before
    [name] = uploads.left()
    assert name in fake.files
    return name


# -- the list


def test_a_name_is_written_down_before_it_is_sent_and_crossed_out_once_the_file_is_gone(
    video: Path, uploads: Uploads, fake: LlmServer
) -> None:
    seen: list[dict[str, Any]] = []

    def answer(asked: object) -> str:
        seen.extend(json.loads(file.read_bytes()) for file in Path(uploads.uri).glob("*.json"))
        return "A kitchen."

    fake.answer = answer
    assert ask(fake, video, uploads).text == "A kitchen."
    [noted] = seen
    assert noted["name"].startswith("files/tikval-")
    assert (noted["size_bytes"], noted["video_id"]) == (video.stat().st_size, "a-video")
    assert not any("jane_doe" in str(value) for value in noted.values())
    assert not fake.files
    assert uploads.left() == []


def test_a_name_that_cannot_be_written_down_is_not_sent(video: Path, tmp_path: Path, fake: LlmServer) -> None:
    (tmp_path / "out").write_text("no folder")
    with pytest.raises(OSError, match="out"):
        ask(fake, video, Uploads(str(tmp_path / "out")))
    assert not fake.calls


def test_names_are_what_the_api_takes() -> None:
    assert {len(new_name().removeprefix("files/")) for _ in range(9)} == {39}
    with pytest.raises(ValueError, match="not a name of ours"):
        Uploads("out").note("files/../../x")


def test_a_file_that_has_expired_is_forgotten_and_a_damaged_note_is_not(uploads: Uploads) -> None:
    old, new, cut = new_name(), new_name(), new_name()
    for name in (old, new, cut):
        uploads.note(name)
    place = Path(uploads.uri) / f"{old.removeprefix('files/')}.json"
    noted = json.loads(place.read_text())
    place.write_text(json.dumps(noted | {"at": (datetime.now(UTC) - timedelta(hours=50)).isoformat()}))
    (Path(uploads.uri) / f"{cut.removeprefix('files/')}.json").write_text('{"na')
    assert uploads.left() == sorted([new, cut])
    assert not place.exists()


# -- deleting


def test_a_delete_that_fails_is_tried_again(video: Path, uploads: Uploads, fake: LlmServer) -> None:
    fake.rules = [always("unavailable", "delete", first=2)]
    ask(fake, video, uploads)
    assert [call.outcome for call in fake.of("delete")] == ["unavailable", "unavailable", "ok"]
    assert not fake.files
    assert uploads.left() == []


def test_what_is_left_stays_on_the_list_and_the_next_run_deletes_it(
    video: Path, uploads: Uploads, fake: LlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    name = abandon(fake, video, uploads)
    assert len(fake.of("delete")) == 3
    assert "the next run deletes it" in caplog.text
    delete_abandoned(uploads, Api(base_url=fake.url))
    assert name not in fake.files
    assert uploads.left() == []


@pytest.mark.parametrize("name", ["forbidden", "bad_key", "unauthorized"])
def test_a_key_that_is_refused_is_no_word_of_the_file(
    video: Path, uploads: Uploads, fake: LlmServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    left = abandon(fake, video, uploads)
    before, fake.rules = len(fake.of("delete")), [always(name, "delete")]
    delete_abandoned(uploads, Api(base_url=fake.url))
    assert uploads.left() == [left]
    assert len(fake.of("delete")) == before + 1, "nothing that is refused is asked again"
    assert KEY not in caplog.text
    assert "tikval doctor --remote" in caplog.text


def test_an_upload_that_broke_off_stays_on_the_list_for_it_may_still_arrive(
    video: Path, uploads: Uploads, fake: LlmServer
) -> None:
    fake.rules = [always("reset_before", "start")]
    with pytest.raises(Fault):
        ask(fake, video, uploads)
    assert [call.outcome for call in fake.of("delete")] == ["gone"]
    assert len(uploads.left()) == 1
    delete_abandoned(uploads, Api(base_url=fake.url))
    assert uploads.left() == []


def test_a_run_at_work_keeps_its_files(video: Path, uploads: Uploads, fake: LlmServer) -> None:
    left, stage = abandon(fake, video, uploads), f"{uploads.out}/predictions-0123456789ab"
    with lock(stage):
        delete_abandoned(uploads, Api(base_url=fake.url))
        assert left in fake.files
        delete_abandoned(uploads, Api(base_url=fake.url), held=f"{uploads.out}/scripts-0123456789ab")
        assert left in fake.files
        delete_abandoned(uploads, Api(base_url=fake.url), held=stage)
    assert not fake.files


@pytest.mark.parametrize("by", ["its list of files", "its own name"])
def test_a_batch_job_keeps_its_files(video: Path, uploads: Uploads, fake: LlmServer, by: str) -> None:
    left = abandon(fake, video, uploads)
    named = by == "its list of files"
    job = Path(uploads.out, "batches", f"{'0f' if named else left.removeprefix('files/tikval-')}.json")
    job.parent.mkdir()
    job.write_text(json.dumps({"files": [left] if named else []}))
    delete_abandoned(uploads, Api(base_url=fake.url))
    assert left in fake.files
    job.unlink()
    delete_abandoned(uploads, Api(base_url=fake.url))
    assert not fake.files


def test_the_background_takes_what_was_there_before_and_fails_no_run(
    video: Path, uploads: Uploads, fake: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandon(fake, video, uploads)
    start_deleting_abandoned(uploads, Api(base_url=fake.url))
    since = time.monotonic()
    while uploads.left() and time.monotonic() - since < 10:
        time.sleep(0.02)
    assert not fake.files

    abandon(fake, video, uploads)
    monkeypatch.delenv("GEMINI_API_KEY")
    delete_abandoned(uploads, Api(base_url=fake.url))
    delete_abandoned(uploads, Api(base_url="http://127.0.0.1:9"))
    assert len(uploads.left()) == 1


def test_a_process_that_ends_at_once_has_deleted_before(
    video: Path, uploads: Uploads, fake: LlmServer
) -> None:
    """As the command of a finished study does: there is no run whose end would wait."""
    abandon(fake, video, uploads)
    program = (
        "from tikval.config import Api; from tikval.llm.uploads import Uploads; from tikval.llm import gemini_remote; "
        f"gemini_remote.start_deleting_abandoned(Uploads({uploads.out!r}), Api(base_url={fake.url!r}))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=ROOT)
    assert not fake.files
    assert uploads.left() == []


def test_a_study_without_uploads_asks_nobody(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini_remote, "connect", lambda api: pytest.fail("a connection"))
    start_deleting_abandoned(uploads, Api())
    delete_abandoned(uploads, Api())


# -- processing and refusals


def test_a_video_that_could_not_be_processed_is_uploaded_once_more(
    video: Path, uploads: Uploads, fake: LlmServer
) -> None:
    fake.rules = [always("failed_file", "upload", first=1)]
    assert ask(fake, video, uploads).reason is None
    assert [call.outcome for call in fake.of("upload")] == ["failed_file", "ok"]
    assert len(fake.of("generate")) == 1
    assert not fake.files
    assert uploads.left() == []

    fake.rules = [always("failed_file", "upload")]
    before = len(fake.of("upload"))
    with pytest.raises(Fault) as caught:
        ask(fake, video, uploads)
    assert (caught.value.reason, caught.value.retryable) == (Reason.REJECTED, False)
    assert caught.value.billed == "no"
    assert len(fake.of("upload")) == before + 2
    assert not fake.files


@pytest.mark.parametrize(
    ("name", "reason"),
    [("rejected", Reason.REJECTED), ("too_large", Reason.REJECTED), ("unavailable", Reason.SERVER_ERROR)],
)
@pytest.mark.parametrize("kind", ["start", "upload"])
def test_a_refused_upload_costs_nothing(
    video: Path, uploads: Uploads, fake: LlmServer, name: str, reason: Reason, kind: str
) -> None:
    fake.rules = [always(name, kind)]
    admitted: list[bool] = []

    async def admit(gone: str | None = None) -> None:
        admitted.append(True)

    async def run() -> None:
        api = Api(base_url=fake.url, inline_mb=0)
        client = GeminiClient(Gemini(model="gemini-3.8-flash"), api, KEY, None, uploads=uploads)
        try:
            await client.ask(Question("What happens?", str(video)), admit)
        finally:
            await client.close()

    with pytest.raises(Fault) as caught:
        asyncio.run(run())
    assert (caught.value.reason, caught.value.billed) == (reason, "no")
    assert caught.value.retryable == (name == "unavailable")
    assert not admitted
    assert not fake.of("generate")


@pytest.mark.parametrize(
    ("name", "message"),
    [("bad_key", "GEMINI_API_KEY"), ("forbidden", "GEMINI_API_KEY"), ("no_model", "takes no uploads")],
)
def test_an_upload_that_no_row_can_succeed_with_is_the_users(
    video: Path, uploads: Uploads, fake: LlmServer, name: str, message: str
) -> None:
    fake.rules = [always(name, "start")]
    with pytest.raises(UserError, match=message):
        ask(fake, video, uploads)
    assert not fake.of("generate")


def test_a_piece_is_sent_once_by_one_try_and_the_log_has_every_request(
    video: Path, uploads: Uploads, fake: LlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    fake.rules = [always("unavailable", "upload")]
    began = time.monotonic()
    with caplog.at_level(logging.INFO), pytest.raises(Fault) as caught:
        ask(fake, video, uploads)
    assert (caught.value.reason, caught.value.billed) == (Reason.SERVER_ERROR, "no")
    assert [call.outcome for call in fake.of("upload")] == ["unavailable"]
    assert time.monotonic() - began < 3, "nor are its pauses kept"
    sent = [record.getMessage() for record in caplog.records if "HTTP Request" in record.getMessage()]
    assert len(sent) == len(fake.headers)
    assert KEY not in caplog.text


class OpenDoor:
    """A gate that lets everything through, and counts."""

    def __init__(self) -> None:
        self.admitted = 0

    async def admit(self, call: str, usd: float, tokens: int, gone: str | None = None) -> Admission:
        self.admitted += 1
        return Admission(True)

    async def settle(
        self, call: str, usd: float | None, met: Met, more_tokens: int = 0, served: Served | None = None
    ) -> bool:
        return False

    async def halt(self, why: str) -> None:
        """Nobody is out."""


def test_a_row_is_uploaded_at_most_as_often_as_it_is_tried(
    video: Path, uploads: Uploads, fake: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tikval.ask.paid.backoff_seconds", lambda *_: 0.0)
    fake.rules = [always("unavailable", "upload")]
    llm, api = Gemini(model="gemini-3.8-flash"), Api(base_url=fake.url, inline_mb=0, tries=3)
    door = OpenDoor()
    answers = PaidAnswers(
        llm,
        api,
        asked_of(llm, "Q", None, None),
        lambda: GeminiClient(llm, api, KEY, None, uploads=uploads),
        lambda: door,
        Ledger(uploads.out),
        load_prices(),
        lambda path, sha: nullcontext(str(path)),
    )
    row = {"video_id": "v", "row_key": "0" * 32, "attempt": 1, "carried": "{}", "error": None, "detail": None}
    row |= {
        "prompt": "Q",
        "video": str(video),
        "files": None,
        "pictures": None,
        "sounds": None,
        "seconds": 3.0,
    }
    row |= {"input_sha": "1"}
    (answer,) = answers([row])
    assert answer["error"] == Reason.SERVER_ERROR
    assert [call.outcome for call in fake.of("upload")] == ["unavailable"] * 3
    assert door.admitted == 0


# -- a run that dies


@pytest.mark.ray
@pytest.mark.full  # its parts run above without Ray, and a paid run that is killed in test_llm_kill.py
@pytest.mark.timeout(300)
def test_what_a_killed_run_has_uploaded_is_deleted_by_the_next(tmp_path: Path) -> None:
    write_unlike(tmp_path / "videos", 4)
    with serving(LlmServer(latency=60)) as fake:
        sets = [
            *(f"out={tmp_path}/out", f"videos.out={tmp_path}/out", f"videos.videos={tmp_path}/videos"),
            *(f"api.base_url={fake.url}", "api.minors_unknown=send", "api.inline_mb=0"),
        ]
        config = load_config(ExtractConfig, "configs/gemini/direct.yaml", sets)
        write_catalog(config.catalog)
        with driver(sets) as process:
            while fake.at_once < 4:
                assert process.poll() is None, "ended before it was killed"
                time.sleep(0.05)
            process.kill()
            process.wait()
        left = Uploads(config.out).left()
        assert len(left) == 4
        assert sorted(fake.files) == left
        fake.latency = 0.0
        with driver(sets) as process:
            assert process.wait(timeout=200) == 0
        assert not fake.files
        assert Uploads(config.out).left() == []
