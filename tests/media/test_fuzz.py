"""Broken and malicious files through the real worker: each is read or refused, and nothing else is touched.

python -m tests.media.test_fuzz 1000       # as the full test does; prints what came out, worst time and memory
"""

import dataclasses
import http.server
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from tests.fixtures import clips
from tests.fixtures.mutations import broken, without_media, write_seeds
from tests.fixtures.tricks import movies, texts, tricks
from tikval.config import Limits
from tikval.media.child import Child
from tikval.media.reading import ClipError, ClipReading, Want
from tikval.rows import Reason

LIMITS = Limits(seconds=30, memory_mb=1024)
WANT = Want(frames=16, sound=True, scene=True)
MAGENTA = (255, 0, 255)


@dataclasses.dataclass
class Survey:
    """What became of many files."""

    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    worst_seconds: tuple[float, str] = (0.0, "")
    worst_mb: tuple[float, str] = (0.0, "")
    ours: list[str] = dataclasses.field(default_factory=list)  # failures that are no property of the file
    seen_canary: list[str] = dataclasses.field(default_factory=list)

    def read(self, child: Child, path: Path, want: Want, name: str) -> None:
        begun = time.monotonic()
        try:
            reading = child.read(str(path), want)
        except ClipError as err:
            self.outcomes[err.reason] += 1
            if err.reason in (Reason.INTERNAL_ERROR, Reason.CRASHED) or not err.detail:
                kept = path.with_name(f"{name.replace(' ', '-')}.mp4")  # the next run's files are others
                shutil.copy(path, kept)
                self.ours.append(f"{kept}: {err}")
        else:
            self.outcomes["read"] += 1
            if shows_canary(reading):
                self.seen_canary.append(name)
        self.worst_seconds = max(self.worst_seconds, (time.monotonic() - begun, name))
        self.worst_mb = max(self.worst_mb, (peak_mb(child), name))

    def __str__(self) -> str:
        seconds, mb = self.worst_seconds, self.worst_mb
        outcomes = ", ".join(f"{count} {reason}" for reason, count in self.outcomes.most_common())
        return f"{outcomes}; worst {seconds[0]:.1f} s ({seconds[1]}), {mb[0]:.0f} MB ({mb[1]})"


def peak_mb(child: Child) -> float:
    """Peak resident memory of the worker since this was last asked; 0 where it is gone or the system does not tell."""
    if child._process is None:
        return 0.0
    process = Path(f"/proc/{child._process._process.pid}")
    try:
        peak = next(
            line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM")
        )
        (process / "clear_refs").write_text("5")
    except (OSError, StopIteration):
        return psutil.Process(child._process._process.pid).memory_info().rss / 2**20
    return int(peak.split()[1]) / 1024


def survey_broken(folder: Path, count: int, seed: int = 0) -> Survey:
    """Read `count` broken files, some with text recognition as well."""
    seeds = write_seeds(folder / "seeds")
    survey = Survey()
    path = folder / "video.mp4"
    with Child(LIMITS) as child:
        for index in range(count):
            kind, content = broken(index, seeds, seed)
            path.write_bytes(content)
            want = dataclasses.replace(WANT, ocr_frames=1) if index % 20 == 0 else WANT
            survey.read(child, path, want, f"{index} {kind}")
    return survey


def check(survey: Survey, count: int) -> None:
    assert survey.outcomes.total() == count
    assert survey.ours == [], survey
    assert survey.outcomes["read"] > count / 10, survey  # else the files are too broken to test anything
    assert survey.outcomes["read"] < 0.95 * count, survey
    assert survey.worst_seconds[0] < LIMITS.seconds + 3, survey  # its own end takes a moment
    assert survey.worst_mb[0] < LIMITS.memory_mb * 1.5, survey  # grows between two looks


def test_a_hundred_broken_files(tmp_path: Path) -> None:
    check(survey_broken(tmp_path, 100), 100)


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_a_thousand_broken_files(tmp_path: Path) -> None:
    check(survey_broken(tmp_path, 1000, seed=1), 1000)


def write_canary(folder: Path) -> Path:
    """A video that nothing else looks like: magenta all over."""
    picture = np.full((96, 128, 3), MAGENTA, np.uint8)
    return clips.write_clip(folder / "canary.mp4", pictures=[picture] * 30, sound=clips.tone(1.2, hertz=3000))


def is_magenta(frames: NDArray[np.uint8]) -> bool:
    red, green, blue = np.moveaxis(frames.astype(np.int16), -1, 0)
    return bool(((red > 180) & (green < 80) & (blue > 180)).mean() > 0.5)


def shows_canary(reading: ClipReading) -> bool:
    if reading.frames is not None and is_magenta(reading.frames):
        return True
    if reading.sound is None or len(reading.sound) < 4000:
        return False
    spectrum = np.abs(np.fft.rfft(reading.sound.astype(float)))
    return abs(float(np.argmax(spectrum)) * 16_000 / len(reading.sound) - 3000) < 20


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine that has the canary, and who asked it for anything."""
    asked: list[str] = []

    class Server(http.server.ThreadingHTTPServer):
        def process_request(self, request: object, client_address: object) -> None:
            asked.append(str(client_address))  # a connection is enough
            super().process_request(request, client_address)  # type: ignore[arg-type]

    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/canary.mp4", asked
        server.shutdown()


def test_no_trick_reaches_another_file_or_the_network(
    tmp_path: Path, listener: tuple[str, list[str]]
) -> None:
    url, asked = listener
    canary = write_canary(tmp_path)
    survey = Survey()
    names = ["video.mp4", "video.m3u8", "video.mpd", "video.sdp", "video.idx", "video%03d.mp4"]
    with Child(LIMITS) as child:
        for index, (name, content) in enumerate(tricks(without_media(canary.read_bytes()), canary, url)):
            path = tmp_path / names[index % len(names)]
            path.write_bytes(content)
            survey.read(child, path, WANT, name)
    assert survey.outcomes.total() > 300
    assert survey.ours == [], survey
    assert survey.seen_canary == []
    assert asked == []
    assert survey.outcomes[Reason.UNREADABLE] > 200, survey


def test_the_canary_would_be_seen(tmp_path: Path, listener: tuple[str, list[str]]) -> None:
    """The tricks work on a demuxer that nothing keeps from it, and the checks above would notice."""
    url, asked = listener
    canary = write_canary(tmp_path)

    def shown(content: bytes, options: dict[str, str]) -> bool:
        path = tmp_path / "video.mp4"
        path.write_bytes(content)
        try:
            with av.open(str(path), options=options) as container:
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        except (av.FFmpegError, OSError):
            return False
        return bool(frames) and is_magenta(np.stack(frames))

    movie = without_media(canary.read_bytes())
    assert shown(texts(canary.name)["ffconcat"].encode(), {})
    assert shown(movies(movie, str(canary))["dref-alias"], {"enable_drefs": "1"})
    assert not shown(movies(movie, str(canary))["dref-alias"], {})
    assert asked == []
    shown(texts(url)["ffconcat"].encode(), {"safe": "0", "protocol_whitelist": "file,http,tcp"})
    assert len(asked) >= 1
    with Child(LIMITS) as child:
        assert shows_canary(child.read(str(canary), WANT))


def strace_works() -> bool:
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-DD", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not strace_works(), reason="no strace, or it may not trace here")
def test_the_kernel_sees_no_other_file_opened(tmp_path: Path) -> None:
    """What the worker and its children open, by the kernel's own account."""
    log = tmp_path / "log"
    files = tmp_path / "files"
    files.mkdir()
    canary = write_canary(files)
    movie = without_media(canary.read_bytes())
    command = (
        *("strace", "-DD", "-f", "-qq", "-s", "300", "-o", str(log)),
        *("-e", "trace=open,openat,openat2,creat,socket,connect,sendto,recvmsg,execve,unlink,rename"),
        *(sys.executable, "-P", "-m", "tikval.media.worker"),
    )
    survey = Survey()
    with Child(LIMITS, command=command, files=10_000) as child:  # one worker: each starts the log anew
        for index, (name, content) in enumerate(tricks(movie, canary, "http://127.0.0.1:9/canary.mp4")):
            path = files / f"{index}.mp4"
            path.write_bytes(content)
            survey.read(child, path, WANT, name)
    assert survey.ours == [], survey
    ended = wait_for(lambda: "+++ killed by SIGKILL" in log.read_text(errors="replace"))
    assert ended, "the log is not complete"
    lines = log.read_text(errors="replace").splitlines()
    # the videos come as open files: not even the one that was asked for is opened by its name
    handed_over = [number for number, line in enumerate(lines) if "SCM_RIGHTS" in line]
    assert len(handed_over) > 300
    assert not any(" socket(" in line or " connect(" in line for line in lines)
    opened = {found for line in lines[handed_over[0] :] if (found := opened_path(line))}
    package = str(Path(__file__).parents[2] / "tikval")
    ours = (sys.prefix, sys.base_prefix, package, "/proc/", "/sys/", "/usr/", "/lib", "/etc/ld.so")
    others = {path for path in opened if not path.startswith(ours)}
    assert others == set()


def opened_path(line: str) -> str | None:
    found = re.search(r'\b(?:open|openat|openat2|creat)\([^"]*"([^"]*)"', line)
    return found.group(1) if found else None


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        print(survey_broken(Path(home), int(sys.argv[1]), seed=1))
