"""Kill the driver, a decoding child and a Ray worker; then run the same command and count.

An undisturbed run over one video of each kind is the truth. Each kill is made when some rows exist and some do not.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.fixtures.corpus import write_corpus
from tikval.hub.bundled import cached_folder
from tikval.report.export.values import export_table
from tikval.store.runs import Study

pytestmark = [  # full: the short form of tests/chaos and tests/llm/test_llm_kill.py kill, too
    *(pytest.mark.ray, pytest.mark.local_models, pytest.mark.full),
    pytest.mark.timeout(600),
]

KINDS = 6  # of videos in the corpus, after which they repeat
N = 40  # rows before each kill, and rows after it: more would show nothing else
SCRIPTS = "scores.predictions.0.scripts."
SETS = (
    f"{SCRIPTS}writer.ocr.frames=1",
    f"{SCRIPTS}writer.speech.engine=none",
    f"{SCRIPTS}pool.batch_rows=2",
    "scores.predictions.0.pool.batch_rows=4",
)


class Driver:
    """`tikval analyze` in a process group of its own, with everything it starts."""

    def __init__(self, videos: Path, out: Path) -> None:
        sets = [word for setting in SETS for word in ("--set", setting)]
        self.log = (out.parent / f"{out.name}.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tikval.cli", "analyze", str(videos), "--out", str(out), *sets],
            stdout=self.log,
            stderr=self.log,
            cwd=ROOT,
            start_new_session=True,
        )
        self.family: dict[int, psutil.Process] = {}

    def descendants(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self.family[child.pid] = child
        return [child for child in self.family.values() if child.is_running()]

    def named(self, part: str) -> list[psutil.Process]:
        found = []
        for child in self.descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                if part in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def wait_until(self, true: Callable[[], bool], seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, Path(self.log.name).read_text()[-2000:]
            assert time.monotonic() < deadline, Path(self.log.name).read_text()[-2000:]
            self.descendants()
            time.sleep(0.05)

    def kill(self) -> None:
        self.descendants()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def sweep(self) -> None:
        """Ray's two agents outlive a killed driver by a minute; what this test started, it ends."""
        self.kill()
        for child in self.family.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.log.close()


@pytest.fixture
def start() -> Iterator[Callable[[Path, Path], Driver]]:
    drivers: list[Driver] = []

    def begin(videos: Path, out: Path) -> Driver:
        drivers.append(Driver(videos, out))
        return drivers[-1]

    yield begin
    for driver in drivers:
        driver.sweep()


def rows(out: Path, stage: str) -> int:
    """Rows on disk, in parts as well as in finished files."""
    total = 0
    for path in out.glob(f"{stage}-*/[!.]*.parquet"):
        with contextlib.suppress(FileNotFoundError):  # a driver at work replaces parts
            total += pq.read_metadata(path).num_rows
    return total


def tables(out: Path) -> tuple[list[tuple[str, str | None, str | None]], list[dict[str, object]]]:
    study = Study(str(out))
    catalog = study.catalog()
    latest = study.latest("scripts")
    assert latest is not None
    scripts = [(row["video_id"], row["script"], row["error"]) for row in latest[0].rows(catalog)]
    return sorted(scripts, key=str), export_table(study).drop_columns(["finished_at"]).to_pylist()


@pytest.mark.skipif(
    cached_folder() is None, reason="the text encoder is not here: python -m tikval.hub.bundled"
)
def test_kills_lose_and_repeat_nothing(tmp_path: Path, start: Callable[[Path, Path], Driver]) -> None:
    ids = write_corpus(tmp_path / "videos", N)
    write_corpus(tmp_path / "few", KINDS)
    calm, out = tmp_path / "calm", tmp_path / "out"
    quiet = start(tmp_path / "few", calm)
    assert quiet.process.wait(timeout=300) == 0, Path(quiet.log.name).read_text()[-2000:]
    chance = random.Random(os.environ.get("TIKVAL_KILL_SEED", "1"))

    # the driver, while scripts are written
    driver = start(tmp_path / "videos", out)
    some = chance.randint(3, N // 4)
    driver.wait_until(lambda: rows(out, "scripts") >= some)
    driver.kill()
    dead, died_at = driver, time.monotonic()
    killed_at = rows(out, "scripts")
    assert some <= killed_at < N
    assert not list(out.glob("scripts-*/run.json"))

    # a decoding child and a Ray worker; the driver goes on
    driver = start(tmp_path / "videos", out)
    driver.wait_until(
        lambda: bool(driver.named("tikval.media.worker")) and rows(out, "scripts") > killed_at + 3
    )
    chance.choice(driver.named("tikval.media.worker")).kill()
    before = rows(out, "scripts")
    driver.wait_until(lambda: rows(out, "scripts") > before + 3 and bool(driver.named("ray::MapWorker")))
    assert before < N
    chance.choice(driver.named("ray::MapWorker")).kill()
    assert rows(out, "scripts") < N

    time.sleep(max(0.0, died_at + 10 - time.monotonic()))
    left = [part for part in ("tikval.media.worker", "ray::MapWorker", "tesseract") if dead.named(part)]
    assert left == [], "the killed driver left something that works on"

    # the driver again, while values are extracted
    driver.wait_until(lambda: rows(out, "predictions") >= 4)
    driver.kill()
    assert 4 <= rows(out, "predictions") < N

    driver = start(tmp_path / "videos", out)
    assert driver.process.wait(timeout=300) == 0, Path(driver.log.name).read_text()[-2000:]
    scripts, values = tables(calm)
    alike = [(name, n % KINDS) for n, name in enumerate(ids)]
    assert tables(out) == (
        [(name, *scripts[kind][1:]) for name, kind in alike],
        [{**values[kind], "video_id": name} for name, kind in alike],
    )
