"""Embedding clips: the paper's way against the pipeline, in one run, with models of full size and random weights.

    python benchmarks/embed.py            64 clips, writes benchmarks/results/embed.json
    python benchmarks/embed.py --quick    24 clips

The paper's way (paper_embedding.py) takes one clip after another, in one process on each core, all at once. The
pipeline is the job itself, on Ray, over all cores, in bfloat16. Both read the same clip of 10 s, 576 x 1024, with a
voice and letters. Rates are those of a long run: without the first quarter of the clips, in which models load, and the
last tenth.
Target: per core at least twice the paper's way.
With a GPU: VideoMAE alone from tensors that lie there, as a share of the GPU's measured rate of matrix products
(target 0.40), then the pipeline, with the GPU's idle share and the cores that one GPU needs.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from benchmarks.media_clips import Spec, cached
from tests.fixtures.checkpoints import Checkpoints, write_checkpoints
from tikval.config import EmbedConfig, load_config
from tikval.flow.embed import embed
from tikval.machine import cores
from tikval.sources.write_catalog import write_catalog

PER_CORE, OF_MATRIX_RATE = 2.0, 0.40  # targets
CLIP = Spec(576, 1024, 10, talk=True)


def the_papers_way(models: Checkpoints, clips: int) -> dict[str, Any]:
    """Clips per second and core, and where the time goes: one process on each core, all at once."""
    context = multiprocessing.get_context("spawn")
    together = context.Manager().Barrier(cores())
    with context.Pool(cores()) as pool:
        figures = pool.starmap(
            _papers, [(models, clips, core, together) for core in range(cores())], chunksize=1
        )
    rate = sum(each["clips_per_second"] for each in figures) / cores()
    return figures[0] | {"clips_per_second": round(rate, 4)}


def _papers(models: Checkpoints, clips: int, core: int, together: Any) -> dict[str, Any]:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})  # Tesseract inherits it
    import torch

    from benchmarks.paper_embedding import embed_the_papers_way, load_papers_models

    torch.set_num_threads(1)
    loaded = load_papers_models(models.pictures, models.sound, models.text)
    path = cached(CLIP)
    embed_the_papers_way(path, loaded)  # imports and caches
    together.wait()
    begin = time.perf_counter()
    stages = [embed_the_papers_way(path, loaded).seconds for _ in range(clips)]
    seconds = (time.perf_counter() - begin) / clips
    by_stage = {name: round(sum(stage[name] for stage in stages) / clips, 3) for name in stages[0]}
    return {"clips_per_second": round(1 / seconds, 3), "seconds_per_clip": by_stage}


def config_of(work: Path, models: Checkpoints, precision: str, clips: int, gpus: float) -> EmbedConfig:
    sets: list[tuple[str, Any]] = [
        ("out", str(work / precision)),
        ("videos.out", str(work / precision)),
        ("videos.videos", str(work / "clips")),
        ("videos.annotations", None),
        ("video.model", str(models.pictures)),
        ("sound.model", str(models.sound)),
        ("text.model", str(models.text)),
        ("precision", precision),
        ("in_flight_mb", 64),  # what is read while the models load would count as fast work
    ]
    if gpus:
        sets += [("read_pool", {"actors": cores(), "cpus": 1}), ("encode_pool.gpus", gpus)]
        sets += [("encode_pool.actors", 2), ("encode_pool.batch_rows", 16)]
    config = load_config(EmbedConfig, "configs/demo/embed.yaml", sets)
    (work / "clips").mkdir(exist_ok=True)
    for index in range(clips):
        if not (path := work / f"clips/{index:05}.mp4").exists():
            shutil.copy(cached(CLIP), path)
    return config


class Watch(threading.Thread):
    """When rows come out, what each kind of process costs from the first rows on, and how busy the GPU is."""

    def __init__(self, folder: Path, clips: int) -> None:
        super().__init__(daemon=True)
        self.folder, self.warm_at, self.clips = folder, clips // 4, clips
        self.stop, self.parts = threading.Event(), dict[str, tuple[float, int]]()
        self.processes: dict[int, tuple[str, float]] = {}  # kind and CPU seconds of each that was ever seen
        self.cpu: list[tuple[float, Counter[str]]] = []
        self.gpu_busy: list[float] = []

    def run(self) -> None:
        gpu = _gpu_reader()
        while not self.stop.wait(0.2):
            for path in self.folder.glob("part-*.parquet"):
                if path.name not in self.parts:
                    self.parts[path.name] = time.time(), pq.read_metadata(path).num_rows
            due = not self.cpu or time.time() - self.cpu[-1][0] > 5
            if due and self.warm_at <= self.rows() < self.clips:
                self.processes |= _processes()
                self.cpu.append((time.time(), _by_kind(self.processes)))
                self.gpu_busy += [gpu()] if gpu else []

    def rows(self) -> int:
        return sum(rows for _, rows in self.parts.values())

    @staticmethod
    def over_time(times: list[tuple[float, int]]) -> list[tuple[float, int]]:
        """When each part came, and the rows until then."""
        return list(
            zip([at for at, _ in times], itertools.accumulate(rows for _, rows in times), strict=True)
        )

    def figures(self, begin: float) -> dict[str, Any]:
        times = sorted(self.parts.values())
        warm = next((at, done) for at, done in self.over_time(times) if done >= self.warm_at)
        late = [(at, done) for at, done in self.over_time(times) if done <= 0.9 * self.clips][-1]
        rate = (late[1] - warm[1]) / (late[0] - warm[0])
        (start, before), (end, after) = self.cpu[0], self.cpu[-1]
        seconds = {kind: after[kind] - before[kind] for kind in after}
        result = {
            "clips_per_second": round(rate, 3),
            "clips_per_second_and_core": round(rate / cores(), 4),
            "first_rows_after_seconds": round(times[0][0] - begin, 1),
            "cores_busy_with": {kind: round(s / (end - start), 2) for kind, s in seconds.items()},
        }
        if self.gpu_busy:
            result["gpu_idle_share"] = round(1 - sum(self.gpu_busy) / len(self.gpu_busy), 3)
        return result


def _gpu_reader() -> Any:
    """Share of the last moment in which the GPU computed; None without a GPU."""
    import torch

    return (lambda: torch.cuda.utilization() / 100) if torch.cuda.is_available() else None


def _by_kind(processes: dict[int, tuple[str, float]]) -> Counter[str]:
    seconds: Counter[str] = Counter()
    for kind, cpu in processes.values():
        seconds[kind] += cpu  # type: ignore[assignment]  # seconds are no whole numbers
    return seconds


def _processes() -> dict[int, tuple[str, float]]:
    """Kind and CPU seconds so far of this process and those below it."""
    found = {}
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            line = " ".join(process.cmdline())
            times = process.cpu_times()
            own, children = times.user + times.system, times.children_user + times.children_system
            if "tikval.media.worker" in line:
                found[process.pid] = "reading", own + children  # Tesseract is its child
            elif line.startswith("ray::MapWorker") and not process.children():
                found[process.pid] = "encoding", own
            elif "tesseract" not in line:
                found[process.pid] = "Ray and the driver", own
        except psutil.NoSuchProcess:
            continue
    return found


def the_pipeline(
    work: Path, models: Checkpoints, precision: str, clips: int, gpus: float = 0
) -> dict[str, Any]:
    config = config_of(work, models, precision, clips, gpus)
    write_catalog(config.videos)
    watch = Watch(Path(config.folder), clips)
    watch.start()
    begin = time.time()
    run = embed(config)
    watch.stop.set()
    watch.join()
    import ray

    ray.shutdown()
    assert (run.rows, run.failed) == (clips, {}), run.failed
    return watch.figures(begin)


def attention_ms() -> dict[str, float]:
    """VideoMAE-Base's attention over one clip in bfloat16: PyTorch's kernel, and ours in tiles."""
    import torch

    from tikval.embed.attention import tiled_attention

    torch.set_num_threads(1)
    query, key, value = (torch.randn(1, 12, 1568, 64, dtype=torch.bfloat16) for _ in range(3))
    ways: dict[str, Callable[[], Any]] = {
        "PyTorch": lambda: torch.nn.functional.scaled_dot_product_attention(query, key, value),
        "in tiles": lambda: tiled_attention(torch.nn.Module(), query, key, value, None),
    }
    return {name: round(1000 * min(_seconds(way) for _ in range(8)), 1) for name, way in ways.items()}


def _seconds(work: Callable[[], Any]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    clips, papers = (24, 2) if quick else (64, 6)
    work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
    result: dict[str, Any] = {"clip": CLIP.name, "clips": clips}
    targets: dict[str, Any] = {}
    try:
        models = write_checkpoints(work / "models", full_size=True)
        result["the paper's way, per core"] = paper = the_papers_way(models, papers)
        result["pipeline"] = the_pipeline(work, models, "bfloat16", clips)
        rate = result["pipeline"]["clips_per_second_and_core"] / paper["clips_per_second"]
        targets["pipeline over the paper's way, per core"] = {"figure": round(rate, 2), "at_least": PER_CORE}
        result["attention of a layer, milliseconds on one core"] = attention_ms()
        result["gpu"] = gpu = _on_gpu(work, models, 64 if quick else 2000)
        if gpu:
            share = gpu["share of the matrix rate"]
            targets["VideoMAE, share of the matrix rate"] = {"figure": share, "at_least": OF_MATRIX_RATE}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for target in targets.values():
        target["met"] = target["figure"] >= target["at_least"]
    result["targets"] = targets
    result["machine"] = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    result["command"] = "python benchmarks/embed.py" + " --quick" * quick
    if not quick:
        name = "embed_gpu.json" if result["gpu"] else "embed.json"
        Path(__file__).with_name("results").joinpath(name).write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0 if all(target["met"] for target in targets.values()) else 1


def _on_gpu(work: Path, models: Checkpoints, clips: int) -> dict[str, Any] | None:
    import torch

    if not torch.cuda.is_available():
        return None  # not run
    from benchmarks.gpu_rate import videomae_rate

    alone = videomae_rate(models.pictures)
    pipeline = the_pipeline(work / "gpu", models, "bfloat16", clips, gpus=0.5)
    reading = pipeline["cores_busy_with"]["reading"] / pipeline["clips_per_second"]
    return alone | {
        "pipeline": pipeline,
        "cores of reading that feed one GPU": round(alone["clips_per_second"] * reading),
    }


if __name__ == "__main__":
    sys.exit(main())
