"""A job by way of Batch on a real local Ray, mixed with the online route, against the server's own bill."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.corpus import write_unlike
from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tests.fixtures.llm_server.batches import finish
from tikval.config import ExtractConfig, load_config
from tikval.flow.extract_values import extract_values
from tikval.llm.batch_jobs import JobFiles
from tikval.llm.gate import read_spent
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.study.erasure import erase_videos

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def direct(tmp_path: Path, url: str, *more: str) -> ExtractConfig:
    sets = [
        f"out={tmp_path}/out",
        f"videos.out={tmp_path}/out",
        f"videos.videos={tmp_path}/videos",
        f"api.base_url={url}",
        "api.minors_unknown=send",
        "api.route=batch",
        "api.batch.poll_seconds=0.1",
    ]
    return load_config(ExtractConfig, "configs/gemini/direct.yaml", [*sets, *more])


def by_id(config: ExtractConfig) -> dict[str, Any]:
    return {row["video_id"]: row for row in Folder(config.folder).read().to_pylist()}


def test_what_batch_leaves_out_is_asked_online(tmp_path: Path) -> None:
    ids = write_unlike(tmp_path / "videos", 6)
    shutil.copyfile(tmp_path / "videos" / f"{ids[0]}.mp4", tmp_path / "videos" / "copy.mp4")
    rules = [
        Rule(Trouble("error_13"), share=0.4, route="batch"),
        Rule(Trouble("shuffled"), kind="batch"),
        Rule(Trouble("reset"), kind="batch", first=1),  # made, and nobody told
    ]
    with serving(LlmServer(rules=rules, batch_seconds=0.3, processing=1)) as fake:
        config = direct(tmp_path, fake.url, "api.batch.rows=4", "pool.actors=2")
        write_catalog(config.catalog)
        extract_values(config)
        n = len(fake.calls)
        extract_values(config)
        assert len(fake.calls) == n, "a finished run asks nobody"
        table = by_id(config)
        assert sorted(table) == sorted([*ids, "copy"])
        assert not any(row["error"] for row in table.values())
        assert table["copy"]["ledger_key"] == table[ids[0]]["ledger_key"]
        billed = Counter(call.key for call in fake.of("generate") if call.billed_usd)
        assert len(billed) == 6
        assert set(billed.values()) == {1}
        assert {call.route for call in fake.of("generate") if call.billed_usd} == {"batch", "online"}
        spent = read_spent(config.folder)
        assert spent is not None
        assert spent.settled_usd == pytest.approx(fake.billed_usd())
        assert not fake.files
        assert not list(JobFiles(config.out).all())


def test_rows_stay_with_their_job_and_the_next_run_adopts_it(tmp_path: Path) -> None:
    ids = write_unlike(tmp_path / "videos", 4)
    stay = ("api.batch.late=stay", "api.batch.deadline_hours=0.0001")
    with serving(LlmServer(batch_seconds=None)) as fake:
        config = direct(tmp_path, fake.url, *stay)
        write_catalog(config.catalog)
        extract_values(config)
        assert {row["error"] for row in by_id(config).values()} == {"not_asked"}
        assert not fake.of("generate")
        erase_videos(config.out, {ids[0]}, set())
        for job in fake.jobs.values():
            finish(fake, job)
        extract_values(config)
        table = by_id(config)
        assert sorted(table) == sorted(ids[1:])
        assert {(row["error"], row["attempt"]) for row in table.values()} == {(None, 1)}
        assert len(fake.of("batch")) == 1
        assert len(fake.of("generate")) == 4, "each of them once, the erased one too"
        spent = read_spent(config.folder)
        assert spent is not None
        assert spent.settled_usd == pytest.approx(fake.billed_usd())
        assert not fake.files
        assert not list(JobFiles(config.out).all())
        assert ids[0] not in "".join(path.read_text() for path in Path(config.out).glob("ledger/*/*.json"))
