"""A cluster of three nodes that loses one in the middle of a job: the job ends well, with every video once."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.fixtures.corpus import write_corpus
from tests.fixtures.namespace import HEAD, Namespace, available, node_processes
from tikval.config import ScriptConfig, load_config
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

pytestmark = [
    pytest.mark.ray,
    pytest.mark.cluster,
    pytest.mark.skipif(not available(), reason="network namespaces are not permitted here"),
]

N = 40


@pytest.fixture
def inside() -> Iterator[Namespace]:
    with Namespace() as namespace:
        yield namespace


def rows(folder: str) -> int:
    return sum(pq.read_metadata(path).num_rows for path in Path(folder).glob("[!._]*.parquet"))


def at_work(address: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return any("ray::MapWorker" in " ".join(process.cmdline()) for process in node_processes(address))
    return False


def test_a_job_survives_the_loss_of_a_node(tmp_path: Path, inside: Namespace) -> None:
    ids = write_corpus(tmp_path / "videos", N)
    sets = [
        f"out={tmp_path / 'out'}",
        f"videos.out={tmp_path / 'out'}",
        f"videos.videos={tmp_path / 'videos'}",
        "writer.ocr.frames=1",
        "writer.speech.engine=none",
    ]
    config = load_config(ScriptConfig, "configs/local/scripts.yaml", sets)
    write_catalog(config.videos)
    _, *workers = inside.start_nodes(3, cpus=2, dashboard=False)
    job = inside.start(
        ["python", "-m", "jobs.write_scripts", "configs/local/scripts.yaml", *sets], env={"RAY_ADDRESS": HEAD}
    )
    deadline = time.monotonic() + 120
    while rows(config.folder) < 4 or not any(map(at_work, workers)):
        assert job.poll() is None, job.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    lost = next(filter(at_work, workers))
    for process in node_processes(lost):  # as the loss of a machine: everything on it is gone at once
        process.kill()
    assert 4 <= rows(config.folder) < N
    message, _ = job.communicate(timeout=120)
    assert job.returncode == 0, message
    folder = Folder(config.folder)
    assert sorted(row["video_id"] for row in folder.read().to_pylist()) == ids
    assert folder.finished().failed == {"unreadable": N // 6}
