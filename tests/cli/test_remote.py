"""`tikval doctor --remote`, against the tests' own server: what is there, whose it is, what is deleted and spared."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cli import check_mistake, tikval
from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tests.fixtures.llm_server.files import File
from tikval.llm.uploads import Uploads, new_name
from tikval.store.lock import lock

KEY = "AIzaSy-not-a-key-0123456789"


@pytest.fixture
def fake() -> Iterator[LlmServer]:
    with serving(LlmServer()) as server:
        yield server


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out/predictions-0123456789ab").mkdir(parents=True)
    return tmp_path / "out"


def put(fake: LlmServer, name: str) -> str:
    fake.files[name] = File(name, "video/mp4", f"{fake.url}/v1beta/{name}", state="ACTIVE", size=3 * 2**20)
    return name


def post(fake: LlmServer, path: str, body: object) -> str:
    request = urllib.request.Request(f"{fake.url}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request) as reply:
        return str(json.load(reply)["name"])


def put_cache(fake: LlmServer) -> str:
    text = {"contents": [{"role": "user", "parts": [{"text": "codebook " * 4000}]}]}
    return post(
        fake, "/v1beta/cachedContents", {"model": "models/m", "displayName": "tikval-codebook", **text}
    )


def put_job(fake: LlmServer, name: str) -> str:
    row = {"request": {"contents": [{"role": "user", "parts": [{"text": "Q"}]}]}, "metadata": {"key": "1"}}
    batch = {"displayName": name, "inputConfig": {"requests": {"requests": [row]}}}
    return post(fake, "/v1beta/models/m:batchGenerateContent", {"batch": batch})


def doctor(fake: LlmServer, *words: str, key: str = KEY) -> tuple[int, str]:
    done = tikval("doctor", "--remote", "--base-url", fake.url, *words, GEMINI_API_KEY=key, COLUMNS="250")
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert KEY not in told
    return done.returncode, told


def test_what_is_there_is_shown_and_nothing_is_deleted(fake: LlmServer, out: Path) -> None:
    mine, strange = put(fake, new_name()), put(fake, new_name())
    put(fake, "files/somebody-elses")
    cache = put_cache(fake)
    Uploads(str(out)).note(mine, video_id="a-video")
    code, told = doctor(fake, str(out))
    assert code == 0
    lines = [line for line in told.splitlines() if "tikval-" in line]
    assert len(lines) == 3
    [line] = [line for line in lines if mine.removeprefix("files/") in line]
    assert str(out) in line
    assert "3.0 MB" in line
    assert "ACTIVE" in line
    assert "0 min" in line
    [line] = [line for line in lines if strange.removeprefix("files/") in line]
    assert "not one that was named" in line
    [line] = [line for line in lines if "tikval-codebook" in line]
    assert f"{fake.caches[cache].tokens:,} tokens" in line
    assert "3 can be deleted" in told
    assert "somebody" not in told
    assert len(fake.files) == 3
    assert len(fake.caches) == 1
    assert not fake.of("delete")


def test_all_pages_are_read_and_what_is_ours_is_deleted(fake: LlmServer, out: Path) -> None:
    names = [put(fake, new_name()) for _ in range(205)]
    put(fake, "files/somebody-elses")
    put_cache(fake)
    Uploads(str(out)).note(names[7])
    code, told = doctor(fake, str(out), "--delete")
    assert (code, "deleted 206, spared 0" in told) == (0, True)
    assert list(fake.files) == ["files/somebody-elses"]
    assert not fake.caches
    assert Uploads(str(out)).left() == []
    assert doctor(fake) == (0, "nothing of tikval lies on the server\n")


def test_batch_jobs_and_what_they_need_are_spared_unless_all_goes(fake: LlmServer, out: Path) -> None:
    fake.batch_seconds = 600
    mine, needed, free = put(fake, "files/tikval-0f"), put(fake, new_name()), put(fake, new_name())
    job = put_job(fake, "tikval-0f")
    (out / "batches").mkdir()
    (out / "batches/0f.json").write_text(json.dumps({"id": "0f", "files": [needed]}))
    code, told = doctor(fake, str(out), "--delete")
    assert (code, "deleted 1, spared 3" in told) == (0, True)
    assert sorted(fake.files) == sorted([mine, needed])
    assert job in fake.jobs

    # of a study that is not named nobody knows which files its job needs
    put(fake, free)
    code, told = doctor(fake, "--delete")
    assert (code, "deleted 0, spared 4" in told) == (0, True)

    code, told = doctor(fake, str(out), "--delete", "--all")
    assert (code, "deleted 4, spared 0" in told) == (0, True)
    assert not fake.files
    assert job not in fake.jobs
    assert [call.kind for call in fake.calls if call.kind.startswith("batch_")] == [
        "batch_cancel",
        "batch_delete",
    ]


def test_a_run_at_work_keeps_its_files(fake: LlmServer, out: Path) -> None:
    Uploads(str(out)).note(put(fake, new_name()))
    with lock(f"{out}/predictions-0123456789ab"):
        code, told = doctor(fake, str(out), "--delete")
    assert (code, "deleted 0, spared 1" in told) == (0, True)
    assert doctor(fake, str(out), "--delete")[0] == 0
    assert not fake.files


def test_what_cannot_be_deleted_is_told(fake: LlmServer, out: Path) -> None:
    name = put(fake, new_name())
    Uploads(str(out)).note(name)
    fake.rules = [Rule(Trouble("forbidden"), kind="delete")]
    code, told = doctor(fake, str(out), "--delete")
    assert code == 1
    assert f"{name.removeprefix('files/')} could not be deleted: 403" in told
    assert Uploads(str(out)).left() == [name]


@pytest.mark.parametrize("name", ["bad_key", "server_error"])
def test_a_server_that_refuses_to_say(fake: LlmServer, name: str) -> None:
    fake.rules = [Rule(Trouble(name), kind="files")]
    code, told = doctor(fake)
    assert code == 2
    assert "Gemini's files cannot be listed" in told


def test_mistakes(fake: LlmServer, tmp_path: Path) -> None:
    code, told = doctor(fake, key="")
    assert code == 2
    assert "GEMINI_API_KEY is not set" in told
    code, told = doctor(fake, str(tmp_path))
    assert code == 2
    assert "no study of tikval lies here" in told
    check_mistake(tikval("doctor", "--delete"), "--remote")
    check_mistake(tikval("doctor", "--remote", "--all", GEMINI_API_KEY=KEY), "--delete")


def test_a_shard_at_work_keeps_its_files_and_one_that_just_begins_is_no_mistake(
    fake: LlmServer, out: Path
) -> None:
    shard = out / "shards/1-of-2"
    (shard / "predictions-0123456789ab").mkdir(parents=True)
    (out / "shards/2-of-2").mkdir()
    Uploads(str(shard)).note(put(fake, new_name()))
    with lock(f"{shard}/predictions-0123456789ab"):
        code, told = doctor(fake, str(out), "--delete")
    assert (code, "deleted 0, spared 1" in told) == (0, True)
    assert str(shard) in told
    assert doctor(fake, str(out), "--delete")[0] == 0
    assert not fake.files
    assert Uploads(str(shard)).left() == []
