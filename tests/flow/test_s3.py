"""A whole study on an S3-compatible server: videos, manifest and results are objects, nothing is a local file."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pytest
import ray

from tests.fixtures.corpus import TEXTS, write_captioned
from tests.fixtures.fakes import NoLimits, load_words
from tests.fixtures.rows import prediction
from tests.flow.test_jobs import PLACES, SCRIPTS, SYSTEM, to_do
from tikval.config import CatalogConfig, ExtractConfig, ReportConfig, ScriptConfig, UserError, load_config
from tikval.evaluate.score_systems import score_systems
from tikval.files import filesystem, read_bytes, read_parquet, write_bytes
from tikval.flow import data
from tikval.flow.extract_values import extract_values
from tikval.flow.write_scripts import write_scripts
from tikval.llm.client import Reply, Usage
from tikval.llm.gate import FolderGate
from tikval.llm.ledger import Entry, Ledger, ledger_key
from tikval.llm.uploads import Uploads, new_name
from tikval.report.export.values import export_table
from tikval.report.export.write import write_study
from tikval.report.site.write import write_report
from tikval.rows import PredictionRow, Reason, arrow_schema
from tikval.sources.catalog import list_videos
from tikval.sources.write_catalog import write_catalog
from tikval.store import lock
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.study.erasure import erase_videos, names_to_erase
from tikval.study.erasure_proof import search_study

pytestmark = pytest.mark.cluster

BUCKET = "s3://bucket"
NAMES = ("v0", "with space", "50% #1?")  # names that a URI would have to encode


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """moto's S3 on a free port of the loopback interface, and the environment that leads there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json").close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", url)
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            pafs.S3FileSystem(endpoint_override=url, allow_bucket_creation=True).create_dir("bucket")
            yield url
    finally:
        process.terminate()
        process.wait()


def test_the_ledger_and_the_gate_lie_on_a_store(server: str) -> None:
    async def crash() -> None:
        gate = FolderGate(f"{BUCKET}/paid/scripts-1", ledger, 1.0, NoLimits())
        assert (await gate.admit(f"{key}.1.a", 0.25, 10)).go  # and the driver is gone

    ledger, key = Ledger(f"{BUCKET}/paid"), ledger_key({"n": 1})
    assert ledger.get(key) is None
    asyncio.run(crash())
    ledger.put(key, Entry("with space", Reply("text", "m", Usage(tokens_in=3)), 0.01, "now"))
    assert ledger.keys() == {key}
    found = ledger.get(key)
    assert found is not None
    assert (found.video_id, found.reply.text) == ("with space", "text")
    assert FolderGate(f"{BUCKET}/paid/scripts-1", ledger, 1.0, NoLimits()).spent.settled_usd == 0.01
    ledger.forget(key)
    assert ledger.keys() == set()


def test_the_list_of_uploads_lies_on_a_store(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.1)
    uploads, stage = Uploads(f"{BUCKET}/sent"), f"{BUCKET}/sent/scripts-0123456789ab"
    assert uploads.abandoned() == []
    write_bytes(f"{stage}/part-0.parquet", b"a stage's folder")
    names = sorted([new_name(), new_name()])
    for name in names:
        uploads.note(name, video_id="a clip")
    with lock.lock(stage):
        assert uploads.left() == names
        assert uploads.abandoned() == []
        assert uploads.abandoned(held=stage) == names
    write_bytes(f"{BUCKET}/sent/batches/0f.json", json.dumps({"files": names[:1]}).encode())
    assert uploads.abandoned() == names[1:]
    uploads.forget(names[1])
    assert uploads.left() == names[:1]


def test_an_export_to_a_store(server: str, tmp_path: Path) -> None:
    (tmp_path / "a clip.mp4").write_bytes(b"x")
    out = f"{BUCKET}/exported"
    catalog = CatalogConfig(videos=str(tmp_path), out=out)
    write_catalog(catalog)
    key = Folder(catalog.folder).read(["row_key"])["row_key"].to_pylist()[0]
    system = ExtractConfig(scripts=ScriptConfig(videos=catalog, out=out), system="local", out=out)
    rows = [prediction("a clip", "face+", row_key=key)]
    Folder(system.folder).write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    Folder(system.folder).seal(system, {}, 1.0)
    to = f"{BUCKET}/to"
    for name in ("v.csv", "v.xlsx", "v.parquet", "v.jsonl", "v.duckdb", "parts/"):
        assert write_study(Study(out), f"{to}/{name}")[0].removeprefix("values ").startswith("1 line")
    with pytest.raises(UserError, match=r"parts: is not empty.*--force"):
        write_study(Study(out), f"{to}/parts/")
    write_study(Study(out), f"{to}/parts/", force=True)
    part = f"parts/system=local/recipe={system.fingerprint}/part-0.parquet"
    assert objects_below(to) == sorted(
        f"{to}/{name}" for name in ("v.csv", "v.xlsx", "v.parquet", "v.jsonl", "v.duckdb", part)
    )
    for name in ("v.parquet", part):
        assert read_parquet(f"{to}/{name}", ["video_id", "face"]).to_pylist() == [
            {"video_id": "a clip", "face": 1}
        ]
    with pytest.raises(UserError, match="cannot be written"):
        write_study(Study(out), "s3://no-such-bucket/v.csv")


def test_an_erasure_on_a_store_is_proven(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.1)
    for name in ("a clip", "b"):
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    (tmp_path / "videos.csv").write_text("path,account,caption\na clip.mp4,zz_kid,\nb.mp4,ann,with @zz_kid\n")
    out = f"{BUCKET}/erased"
    write_catalog(CatalogConfig(videos=str(tmp_path / "videos.csv"), out=out))
    key = ledger_key({"n": 2})
    Ledger(out).put(key, Entry("a clip", Reply("text", "m", Usage(tokens_in=3)), 0.01, "now"))
    write_bytes(f"{out}/finetune-aaaaaaaaaaaa/ray/x/state.pt", b"\0a clip")
    write_bytes(f"{out}/finetune-aaaaaaaaaaaa/folds.json", b"cut short")
    names = names_to_erase(out, set(), {"ZZ_Kid"})
    before = {find.file for find in search_study(out, names).finds}
    assert f"ledger/{key[:2]}/{key}.json" in before
    assert len(before) == 4  # videos, accounts, reply, checkpoint
    assert erase_videos(out, set(), {"ZZ_Kid"}) == ({"a clip"}, 2)
    proof = search_study(out, names)
    assert not proof.finds
    assert proof.files >= 4
    assert Ledger(out).keys() == set()
    write_bytes(f"{out}/mine/notes.txt", b"zz_kid")
    assert [find.file for find in search_study(out, names).finds] == ["mine/notes.txt"]


def study(*overrides: tuple[str, object]) -> ReportConfig:
    """The local profile on the bucket, quick to run."""
    sets: list[tuple[str, object]] = [
        (f"{place}out", f"{BUCKET}/out") for place in (*PLACES, f"{SCRIPTS}videos.")
    ]
    sets += [
        (f"{SCRIPTS}videos.videos", f"{BUCKET}/videos"),
        (f"{SCRIPTS}videos.annotations", f"{BUCKET}/labels.csv"),
        (f"{SCRIPTS}writer.ocr.frames", 1),
        (f"{SCRIPTS}writer.speech.engine", "none"),
        (f"{SCRIPTS}pool.actors", 1),
        (f"{SYSTEM}extractor.threshold", 0.02),
    ]
    return load_config(ReportConfig, "configs/local/report.yaml", [*sets, *overrides])


def run_all(config: ReportConfig) -> None:
    system = config.scores.extracted[0]
    write_catalog(config.scores.catalog)
    write_scripts(system.first_step)
    extract_values(system, load_words)
    score_systems(config.scores)
    write_report(config)


@pytest.fixture
def own_ray(server: str) -> Iterator[None]:
    """A Ray whose workers know the server; one that runs already was started without it."""
    ray.shutdown()
    yield
    ray.shutdown()  # the next test that needs one starts it anew


@pytest.mark.ray
@pytest.mark.usefixtures("own_ray", "every_form")
def test_a_study_on_an_object_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.1)
    for name, text in zip(NAMES, TEXTS, strict=True):
        write_bytes(f"{BUCKET}/videos/{name}.mp4", write_captioned(tmp_path / "clip.mp4", text).read_bytes())
    write_bytes(f"{BUCKET}/labels.csv", b"video_id,self_direction_thought\nv0,1\nwith space,0\n")
    config = study()
    system = config.scores.extracted[0]
    run_all(config)
    assert to_do(capsys.readouterr().err) == {"scripts": 3, "predictions": 3}
    scripts = {row["video_id"]: row for row in Folder(system.first_step.folder).read().to_pylist()}
    assert sorted(scripts) == sorted(NAMES)
    assert {row["error"] for row in scripts.values()} == {None}
    assert "[I TAUGHT MYSELF TO REPAIR RADIOS]" in scripts["v0"]["script"]
    page = read_bytes(f"{config.folder}/videos/{scripts['v0']['row_key']}.html")
    assert page is not None
    assert b"TO REPAIR RADIOS" in page
    assert read_bytes(f"{config.folder}/charts/value_rates.pdf") is not None
    assert {row["n_videos"] for row in Folder(config.scores.folder).read().to_pylist()} == {2}

    objects, written = all_objects(), run_files()
    run_all(config)
    assert to_do(capsys.readouterr().err) == {}
    assert (all_objects(), run_files()) == (objects, written)

    # one more video, named by a manifest on the store; the rows to do are read on the cluster
    write_bytes(f"{BUCKET}/videos/more.mp4", write_captioned(tmp_path / "clip.mp4", TEXTS[0]).read_bytes())
    lines = [f"videos/{name}.mp4,{name}" for name in (*NAMES, "more")]
    lines += [f"{BUCKET}/videos/none.mp4,none"]
    write_bytes(f"{BUCKET}/videos.csv", "\n".join(["path,video_id", *lines]).encode())
    config = study((f"{SCRIPTS}videos.videos", f"{BUCKET}/videos.csv"))
    monkeypatch.setattr(data, "SMALL", 0)
    run_all(config)
    assert to_do(capsys.readouterr().err) == {"scripts": 2, "predictions": 2}
    lines = export_table(Study(f"{BUCKET}/out")).to_pylist()
    assert [(line["video_id"], line["error"]) for line in lines] == [
        ("50% #1?", None),
        ("more", None),
        ("none", Reason.MISSING_FILE),
        ("v0", None),
        ("with space", None),
    ]

    # forgotten for good
    found, rows = erase_videos(f"{BUCKET}/out", {"v0"}, set())
    assert (found, rows) == ({"v0"}, 4)  # catalog, label, script, prediction
    write_catalog(config.scores.catalog)  # its file is still there
    study_now = Study(f"{BUCKET}/out")
    left = ["50% #1?", "more", "none", "with space"]
    assert sorted(study_now.catalog().read(["video_id"])["video_id"].to_pylist()) == left
    assert export_table(study_now)["video_id"].to_pylist() == left
    assert not [place for place in all_objects() if place.endswith("/lock.json")]


def all_objects() -> list[str]:
    """Everything below the results."""
    return objects_below(f"{BUCKET}/out")


def objects_below(folder: str) -> list[str]:
    fs, path = filesystem(folder)
    infos = fs.get_file_info(pafs.FileSelector(path, recursive=True))
    return sorted(f"s3://{info.path}" for info in infos if info.type == pafs.FileType.File)


def run_files() -> dict[str, bytes | None]:
    return {place: read_bytes(place) for place in all_objects() if place.endswith("/run.json")}


@pytest.mark.usefixtures("server")
def test_what_is_not_there_or_not_ours_is_an_error() -> None:
    with pytest.raises(UserError, match="no videos found"):
        list(list_videos(f"{BUCKET}/nothing"))
    with pytest.raises(UserError, match="no such file"):
        list(list_videos(f"{BUCKET}/nothing.csv"))
    with pytest.raises(UserError, match="no finished run of tikval lies here"):
        Study(f"{BUCKET}/nothing")
    with (
        pytest.raises(UserError, match=r"cannot be written .*bucket.*choose another --out"),
        Folder("s3://none/x").lock(),
    ):
        pytest.fail("locked")


def test_a_store_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for broken in (
        lambda: list(list_videos(f"{BUCKET}/x")),
        lambda: list(list_videos(f"{BUCKET}/x.csv")),
        lambda: Study(BUCKET),
    ):
        with pytest.raises(UserError, match="NETWORK_CONNECTION"):
            broken()


# the lease


@pytest.fixture(params=["s3", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder that is locked by a lease, on the server and through pyarrow's own local filesystem."""
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.1)
    if request.param == "file":
        return f"file://{tmp_path}"
    request.getfixturevalue("server")
    return f"{BUCKET}/leases/{tmp_path.name}"


def held(place: str, **changes: Any) -> None:
    lease = {"owner": "other", "who": "process 7 on elsewhere since 12:00:00", "expires": time.time() + 30}
    write_bytes(f"{place}/lock.json", json.dumps(lease | changes).encode())


def test_a_second_driver_is_refused(place: str) -> None:
    with Folder(place).lock():
        with (
            pytest.raises(UserError, match=rf"in use by another run \(process {os.getpid()} on "),
            Folder(place).lock(),
        ):
            pytest.fail("two drivers")
        assert read_bytes(f"{place}/lock.json")
    assert read_bytes(f"{place}/lock.json") is None
    with pytest.raises(RuntimeError), Folder(place).lock():
        raise RuntimeError
    assert read_bytes(f"{place}/lock.json") is None


def test_a_dead_drivers_lease_ends(place: str) -> None:
    held(place)
    with (
        pytest.raises(
            UserError,
            match=r"in use by another run \(process 7 on elsewhere.*\); if that run is dead, .* in 30 s",
        ),
        Folder(place).lock(),
    ):
        pytest.fail("two drivers")
    held(place, expires=time.time() - 1)
    with Folder(place).lock():
        pass
    write_bytes(f"{place}/lock.json", b"<html>")  # nobody's
    with Folder(place).lock():
        pass


def test_a_lease_is_renewed(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(lock, "LEASE_SECONDS", 2.0)
    with Folder(place).lock():
        time.sleep(2.5)
        with pytest.raises(UserError, match="in use"), Folder(place).lock():
            pytest.fail("two drivers")


def test_a_driver_that_lost_its_lease_says_so(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.1)

    def work() -> None:
        with Folder(place).lock():
            for _ in range(10):  # a renewal that was under way may write over the first
                held(place)
                time.sleep(0.1)

    with pytest.raises(UserError, match=r"another run took over meanwhile \(process 7 on elsewhere"):
        work()
    assert b"process 7" in (read_bytes(f"{place}/lock.json") or b"")  # the other one's lease stays


def test_a_fault_of_the_store_does_not_end_the_work(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.1)
    faults = []

    def fail(*_: Any) -> None:
        faults.append(1)
        raise OSError("no answer")

    with Folder(place).lock():
        with monkeypatch.context() as patch:
            patch.setattr(lock, "write_bytes", fail)
            time.sleep(0.5)
        time.sleep(0.5)
    assert len(faults) > 1
    assert read_bytes(f"{place}/lock.json") is None
