"""Calls of a paid model through Ray against a plain asyncio loop of the same calls; and a video's bytes in memory.

    python benchmarks/paid_calls.py            32, 128 and 256 in flight; writes benchmarks/results/paid_calls.json
    python benchmarks/paid_calls.py --quick    32 and 256 in flight, a third as many calls

Every reply takes 2 s, from a server in a process of its own that does nothing else. The job is extract_values over
finished scripts, with an actor for each 128 calls in flight (pool.actors: an event loop each) and limits that never
bind; the loop is httpx2, with as many calls in flight and bodies that are as long. Both are timed by the server, from
the first request that came in to the last reply that went out: the start of Ray does not count, and the last replies of
both do. The ideal is a reply of each call in flight every 2 s.
Targets: at least 0.95 of the loop's rate at 32 in flight and 0.90 at 256; a video's bytes held once for each call.
CPU seconds are those of each kind of process while the calls went; `others` is what else the machine was busy with.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow as pa

from tests.fixtures.llm_server import Ask, default_answer
from tests.fixtures.rows import script, video
from tikval.codebook import load_codebook
from tikval.config import Api, ExtractConfig, Gemini, load_config
from tikval.files import write_table
from tikval.flow.session import start_ray
from tikval.machine import cores
from tikval.prompt_text import render_material, render_prompt, reply_schema
from tikval.rows import ScriptRow, VideoRow, arrow_schema
from tikval.store.folder import Folder

ROOT: Final = Path(__file__).parents[1]
CONFIG: Final = "configs/gemini/two_step.yaml"
LATENCY: Final = 2.0  # seconds of each reply
OF_LOOP: Final = {32: 0.95, 256: 0.90}
CALLS_OF_AN_ACTOR: Final = 128
ROUNDS: Final = 15  # calls of a run over those in flight
VIDEO_MB: Final = 15
VIDEO_CALLS: Final = 8
HELD: Final = 1.1  # sizes of the video, for each call


# ---- the server ----


class Served(asyncio.Protocol):
    """One connection: a request, and after a while the same reply to all. `journal`: when each came in and went out."""

    journal: list[tuple[float, float]] = []  # noqa: RUF012 - of the process
    reply = b""
    latency = LATENCY

    def connection_made(self, transport: Any) -> None:
        self.transport, self.head, self.left, self.came = transport, b"", 0, 0.0

    def data_received(self, data: bytes) -> None:
        if self.left:
            self.left -= len(data)
        else:
            self.came = self.came or time.time()
            self.head += data
            head, found, body = self.head.partition(b"\r\n\r\n")
            if not found:
                return
            length = next(
                (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0"
            )
            self.path, self.left = head.split(b" ", 2)[1], int(length.partition(b":")[2]) - len(body)
        if self.left == 0:
            self._answer()

    def _answer(self) -> None:
        came, self.head, self.came = self.came, b"", 0.0
        if self.path == b"/journal":
            used = psutil.Process().cpu_times()
            self._send(json.dumps({"calls": self.journal, "cpu": used.user + used.system}).encode())
            self.journal.clear()
            return
        asyncio.get_running_loop().call_later(self.latency, self._reply, came)

    def _reply(self, came: float) -> None:
        self._send(self.reply)
        self.journal.append((came, time.time()))

    def _send(self, data: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        if not self.transport.is_closing():
            self.transport.write(head % len(data) + data)


async def serve() -> None:
    schema = reply_schema(load_codebook(ROOT / "prompts/codebook.yaml"), None)
    Served.reply = json.dumps(
        {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": _answer(schema)}]}, "finishReason": "STOP"}
            ],
            "usageMetadata": {
                "promptTokenCount": 12_000,
                "candidatesTokenCount": 600,
                "totalTokenCount": 12_600,
            },
            "modelVersion": "gemini-3.8-flash",
        }
    ).encode()
    server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def _answer(schema: dict[str, Any]) -> str:
    return default_answer(Ask("generate", "", None, "k", 0, schema, {}, "gemini-3.8-flash", 0.0))


@contextmanager
def child(*words: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, __file__, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=_environment()
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "GEMINI_API_KEY": "a-key"}


def journal(url: str) -> dict[str, Any]:
    import httpx2

    payload: dict[str, Any] = httpx2.get(f"{url}/journal").json()
    return payload


# ---- the plain loop ----


async def loop(url: str, calls: int, in_flight: int) -> None:
    """As anybody would write it: so many workers, one client, one list of bodies."""
    import httpx2

    config, schema = (
        Gemini(model="gemini-3.8-flash", seed=0, max_tokens=8192),
        reply_schema(_codebook(), None),
    )
    prompt = render_prompt(_codebook(), (ROOT / "prompts/extract.txt").read_text(encoding="utf-8"), "script")
    generation = {
        "temperature": config.temperature,
        "seed": 0,
        "maxOutputTokens": 8192,
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    left = iter(range(calls))
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=60, headers={"x-goog-api-key": "a-key"}) as client:

        async def work() -> None:
            for at in left:
                parts = [{"text": prompt + render_material(words(at), None)}]
                body = {"contents": [{"role": "user", "parts": parts}], "generationConfig": generation}
                reply = await client.post(f"{url}/v1beta/models/gemini-3.8-flash:generateContent", json=body)
                assert json.loads(reply.json()["candidates"][0]["content"]["parts"][0]["text"])

        await asyncio.gather(*(work() for _ in range(in_flight)))


def _codebook() -> Any:
    return load_codebook(ROOT / "prompts/codebook.yaml")


def words(at: int) -> str:
    """A script of 200 words, unlike every other."""
    return f'Genre: Comedy\nSound: Yes\nKitchen {at}.\nSPEAKER: "{"We made it here. " * 50}"\n'


# ---- the job ----


def write_upstream(config: ExtractConfig, n: int) -> None:
    """A finished catalog and finished scripts of it."""
    assert config.scripts
    catalog, scripts = Folder(config.scripts.videos.folder), Folder(config.scripts.folder)
    ids = [f"video{at:06}" for at in range(n)]
    listed = pa.Table.from_pylist([video(name) for name in ids], schema=arrow_schema(VideoRow))
    write_table(f"{catalog.uri}/data-000000.parquet", listed)
    catalog.write_run(config.scripts.videos, ["data-000000.parquet"], {}, n, {}, 0)
    rows = [script(name, script=words(at)) for at, name in enumerate(ids)]
    scripts.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(ScriptRow)))
    scripts.seal(config.scripts, {catalog.uri: catalog.finished().state}, 0)  # inputs, seconds


def job(folder: str, url: str, n: int, in_flight: int) -> None:
    """Extract values of `n` scripts in this process."""
    from tikval.flow.extract_values import extract_values

    sets = [(f"{place}out", folder) for place in ("", "scripts.", "scripts.videos.")]
    actors = -(-in_flight // CALLS_OF_AN_ACTOR)
    api = {"base_url": url, "minors_unknown": "send", "in_flight": in_flight // actors}
    api |= {"requests_per_minute": 1_000_000, "tokens_per_minute": 10**12, "cache": "off"}
    config = load_config(
        ExtractConfig,
        CONFIG,
        [*sets, ("pool.actors", actors), *((f"api.{name}", what) for name, what in api.items())],
    )
    write_upstream(config, n)
    start_ray()
    done = extract_values(config)
    assert (done.rows, done.failed) == (n, {}), done


class Cpu:
    """CPU seconds of a process and all below it, by what they are, while calls are in the air."""

    def __init__(self, pid: int) -> None:
        self.root, self.seen = psutil.Process(pid), dict[int, tuple[str, list[tuple[float, float]]]]()
        self.machine: list[tuple[float, float]] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.stop.wait(0.25):
            now, times = time.time(), psutil.cpu_times()
            self.machine.append(
                (now, sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
            )
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in (self.root, *self.root.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        used = process.cpu_times()
                        line = " ".join(process.cmdline()) or process.name()
                        _, samples = self.seen.setdefault(process.pid, (line, []))
                        self.seen[process.pid] = (line, samples)
                        samples.append((now, used.user + used.system))

    def between(self, first: float, last: float) -> dict[str, float]:
        self.stop.set()
        self.thread.join()
        used: dict[str, float] = defaultdict(float)
        for line, samples in self.seen.values():
            used[_kind(line)] += _grown(samples, first, last)
        return {**used, "machine": _grown(self.machine, first, last)}


def _grown(samples: list[tuple[float, float]], first: float, last: float) -> float:
    inside = [cpu for when, cpu in samples if first - 0.3 <= when <= last + 0.3]
    return inside[-1] - inside[0] if inside else 0.0


def _kind(line: str) -> str:
    names = {"_GateActor": "gate", "_LimiterActor": "limiter", "MapWorker": "actor", "raylet": "raylet"}
    names |= {"gcs_server": "gcs", "--job": "driver", "--loop": "loop", "ray::": "other workers"}
    return next((kind for mark, kind in names.items() if mark in line), "rest of Ray")


def timed(url: str, words: list[str], n: int) -> dict[str, Any]:
    """A child's calls by the server's journal."""
    before = journal(url)["cpu"]
    with child(*words) as process:
        cpu = Cpu(process.pid)
        assert process.wait() == 0, words
        log = journal(url)
    came, went = zip(*log["calls"], strict=True)
    assert len(went) == n, len(went)
    first, last = min(came), max(went)
    seconds = last - first
    used = cpu.between(first, last)
    busy = used.pop("machine") - sum(used.values()) - (log["cpu"] - before)
    per_call = {
        name: round(1000 * spent / n, 2) for name, spent in {**used, "server": log["cpu"] - before}.items()
    }
    return {
        "rows_per_second": round(n / seconds, 2),
        "seconds": round(seconds, 2),
        "cpu_ms_per_call": dict(sorted(per_call.items())),
        "cores_of_others": round(busy / seconds, 2),
    }


def compare(url: str, in_flight: int, rounds: int) -> dict[str, Any]:
    n = in_flight * rounds
    plain = timed(url, ["--loop", url, str(n), str(in_flight)], n)
    folder = tempfile.mkdtemp(prefix="tikval-bench-")
    try:
        through = timed(url, ["--job", folder, url, str(n), str(in_flight)], n)
    finally:
        shutil.rmtree(folder)
    rate, ideal = plain["rows_per_second"], in_flight / LATENCY
    of_loop = round(through["rows_per_second"] / rate, 3)
    return {
        "calls": n,
        "of_loop": of_loop,
        "loop_of_ideal": round(rate / ideal, 3),
        "ray": through,
        "loop": plain,
    }


# ---- a video's bytes ----


async def send_videos(url: str, calls: int) -> None:
    """Print MB that so many calls hold at the most, each with a video of its own, over what one small call takes."""
    from tikval.llm.client import Question
    from tikval.llm.gemini import GeminiClient

    client = GeminiClient(Gemini(model="gemini-3.8-flash"), Api(base_url=url), "a-key", None)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{at}.mp4" for at in range(calls)]
        for file in files:
            file.write_bytes(os.urandom(VIDEO_MB * 2**20))
        await client.ask(Question("prompt"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await asyncio.gather(*(client.ask(Question("prompt", str(file))) for file in files))
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)


def held(url: str) -> dict[str, Any]:
    """What each call more takes, in sizes of its video."""

    def most(calls: int) -> float:
        with child("--videos", url, str(calls)) as process:
            assert process.stdout
            return float(process.stdout.read())

    one, all_of_them = most(1), most(VIDEO_CALLS)
    return {
        "video_mb": VIDEO_MB,
        "one_call_mb": round(one, 1),
        f"{VIDEO_CALLS}_calls_mb": round(all_of_them, 1),
        "held_per_call": round((all_of_them - one) / (VIDEO_CALLS - 1) / VIDEO_MB, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", type=int, action="append", help="calls in flight, in place of all")
    parser.add_argument(
        "--serve", action="store_true", help=argparse.SUPPRESS
    )  # this and the rest: its children
    parser.add_argument("--loop", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--job", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--videos", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve())
    elif given.loop:
        asyncio.run(loop(given.loop[0], *map(int, given.loop[1:])))
    elif given.job:
        job(*given.job[:2], *map(int, given.job[2:]))
    elif given.videos:
        asyncio.run(send_videos(given.videos[0], int(given.videos[1])))
    else:
        return measure(given.quick, given.only)
    return 0


def measure(quick: bool, only: list[int] | None) -> int:
    with child("--serve") as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        counts = only or ([32, 256] if quick else [32, 128, 256])
        result: dict[str, Any] = {
            str(count): compare(url, count, ROUNDS // 3 if quick else ROUNDS) for count in counts
        }
        result["video"] = held(url)
    result["targets"] = {
        **{
            f"of the loop at {count}": {
                "target": OF_LOOP[count],
                "met": result[str(count)]["of_loop"] >= OF_LOOP[count],
            }
            for count in counts
            if count in OF_LOOP
        },
        "a video's bytes per call": {"target": HELD, "met": result["video"]["held_per_call"] <= HELD},
    }
    result["machine"] = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    result["command"] = "python benchmarks/paid_calls.py" + " --quick" * quick
    if not quick and not only:
        Path(__file__).with_name("results").joinpath("paid_calls.json").write_text(
            json.dumps(result, indent=2) + "\n"
        )
    print(json.dumps(result))
    return 0 if all(target["met"] for target in result["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
