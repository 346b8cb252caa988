"""A thousand clips through the embedding job with an object store of 500 MB: nothing spills, the driver stays flat.

    python benchmarks/embed_memory.py            1,000 clips, writes benchmarks/results/embed_memory.json
    python benchmarks/embed_memory.py --quick    250 clips

Decoded, a clip takes 2.7 MB (16 pictures of 224 x 224 and ten seconds of sound), so a thousand are 2.7 GB: more than
five times the store. Models are tiny and encoding sleeps, so that reading is the faster side and must be held back.
Targets: no byte spilled; the driver's resident memory grows by less than 50 MB from a tenth of the rows to the last.
"""

import argparse
import json
import platform
import re
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from tests.fixtures.checkpoints import write_checkpoints
from tests.fixtures.clips import tone, write_clip
from tests.fixtures.fakes import SlowEncoder
from tikval.config import EmbedConfig, load_config
from tikval.flow.embed import embed
from tikval.flow.session import start_ray
from tikval.machine import cores
from tikval.sources.write_catalog import write_catalog

STORE_MB = 500
MAX_GROWTH_MB = 50


def config_of(work: Path, clips: int) -> EmbedConfig:
    models = write_checkpoints(work / "models")
    (work / "clips").mkdir()
    clip = write_clip(work / "clips/00000.mp4", n=20, width=224, height=224, sound=tone(10))
    for index in range(1, clips):
        shutil.copy(clip, work / f"clips/{index:05}.mp4")
    sets: list[tuple[str, Any]] = [
        ("out", str(work / "out")),
        ("videos.out", str(work / "out")),
        ("videos.videos", str(work / "clips")),
        ("videos.annotations", None),
        ("video.model", str(models.pictures)),
        ("sound.model", str(models.sound)),
        ("text", None),
        ("read_pool", {"cpus": 0.5}),
        ("encode_pool.actors", 1),
    ]
    return load_config(EmbedConfig, "configs/demo/embed.yaml", sets)


class Memory(threading.Thread):
    """The driver's resident memory by rows on disk, and what Ray reports of its store."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.stop = folder, threading.Event()
        self.driver: list[tuple[int, float]] = []
        self.store_mb = 0.0

    def run(self) -> None:
        rows: dict[str, int] = {}
        while not self.stop.wait(0.5):
            for path in self.folder.glob("part-*.parquet"):
                if path.name not in rows:
                    rows[path.name] = pq.read_metadata(path).num_rows
            self.driver.append((sum(rows.values()), psutil.Process().memory_info().rss / 1e6))
            self.store_mb = max(self.store_mb, store()["used"])

    def growth(self, clips: int) -> float:
        working = [mb for rows, mb in self.driver if clips // 10 <= rows < clips]
        return max(working) - working[0]


def store() -> dict[str, float]:
    """MB of objects in Ray's store now, and spilled so far."""
    from ray._private.internal_api import memory_summary

    output: str = memory_summary(stats_only=True)  # type: ignore[no-untyped-call]
    used = re.search(r"Plasma memory usage (\d+) MiB", output)
    spilled = re.search(r"Spilled (\d+) MiB", output)
    return {
        "used": float(used[1]) * 1.048576 if used else 0.0,
        "spilled": float(spilled[1]) * 1.048576 if spilled else 0.0,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    clips = 250 if quick else 1000
    work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
    try:
        config = config_of(work, clips)
        write_catalog(config.videos)
        start_ray(object_store_mb=STORE_MB)
        memory = Memory(Path(config.folder))
        memory.start()
        run = embed(config, SlowEncoder)
        spilled = store()["spilled"]
        memory.stop.set()
        memory.join()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    assert (run.rows, run.failed) == (clips, {}), run.failed
    growth = round(memory.growth(clips), 1)
    result = {
        "clips": clips,
        "store_mb": STORE_MB,
        "decoded_mb": round(clips * 2.73),
        "most_in_store_mb": round(memory.store_mb),
        "spilled_mb": round(spilled),
        "driver_growth_mb": growth,
        "clips_per_second": round(clips / run.seconds, 1),
        "machine": f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}",
        "command": "python benchmarks/embed_memory.py" + " --quick" * quick,
        "targets": {
            "spilled_mb": {"figure": round(spilled), "at_most": 0, "met": spilled == 0},
            "driver_growth_mb": {"figure": growth, "at_most": MAX_GROWTH_MB, "met": growth <= MAX_GROWTH_MB},
        },
    }
    if not quick:
        Path(__file__).with_name("results").joinpath("embed_memory.json").write_text(
            json.dumps(result, indent=2) + "\n"
        )
    print(json.dumps(result))
    return 0 if spilled == 0 and growth <= MAX_GROWTH_MB else 1


if __name__ == "__main__":
    sys.exit(main())
