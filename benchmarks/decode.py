"""What reading a clip costs: 16 small pictures, 3 at full size and the sound, against decoding all of it.

    python benchmarks/decode.py --quick    # 10 s clips of 576x1024, 100 opens; under two minutes; writes nothing
    python benchmarks/decode.py            # also 1080x1920, 30 and 60 s, 500 opens; writes results/decode.json
    python benchmarks/decode.py --write    # with --quick: writes the result too

Readers, each on one thread, on the same generated file (media_clips.py):
    tikval    tikval.media.clip.read_clip, as shipped: with the file's hash and all checks
    pyav      PyAV, every picture and sound packet decoded, the same pictures kept, by the same scaler
    decord    decord2 (not a dependency), 19 pictures at full size by their numbers; sound by PyAV's pass
    ffmpeg    the program, `ffmpeg -threads 1 -f null`: decodes pictures and sound and throws them away

Figures are CPU seconds, as ratios to ffmpeg's in the same turn; turns are interleaved and the median is taken, so
that a busy machine disturbs all alike. ffmpeg's CPU time is that of the whole program, as the target has it;
`ratio_without_start` takes its start off (its time on a clip of one second and 64 x 64 pixels), as a reader that
stays pays none. The last line is one JSON object; the exit code is 1 where a target is missed.
"""

import argparse
import importlib.util
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest import mock

import av
import numpy as np
import psutil
from av.video.reformatter import Interpolation

from benchmarks.media_clips import RATE, Spec, cached, megabits
from tikval.media import seeking
from tikval.media.clip import read_clip
from tikval.media.pictures import Taker

RESULT: Final = Path(__file__).parent / "results" / "decode.json"
MAIN: Final = Spec(576, 1024, 10)  # the target's clip: as the platform serves them
NO_B_FRAMES: Final = Spec(576, 1024, 10, b_frames=0)
HEVC: Final = Spec(576, 1024, 10, codec="hevc")
QUICK: Final = [MAIN, Spec(576, 1024, 10, gop=30), NO_B_FRAMES, HEVC]
FULL: Final = [
    *QUICK,
    Spec(576, 1024, 10, gop=30, b_frames=0),
    *(Spec(576, 1024, seconds, gop=gop) for seconds in (30, 60) for gop in (250, 30)),
    Spec(1080, 1920, 10),
    Spec(1080, 1920, 10, gop=30),
    Spec(1080, 1920, 10, b_frames=0),
    Spec(1080, 1920, 10, codec="hevc"),
    Spec(1080, 1920, 30),
    Spec(1080, 1920, 60),
]
TARGETS: Final = {MAIN: 0.70, NO_B_FRAMES: 0.75, HEVC: 0.80}  # of ffmpeg's CPU time
TARGET_GROWTH_MB: Final = 20  # of resident memory over all opens after the first tenth
SCALER: Final = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
FRAMES, KEY_FRAMES, SIDE_PX = 16, 3, 224

Reader = Callable[[str], None]


def tikval(path: str) -> None:
    read_clip(path, frames=FRAMES, key_frames=KEY_FRAMES)


def sequential(path: str) -> None:
    """What a loop over PyAV yields: all is decoded, in one pass."""
    with av.open(path) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        video.codec_context.thread_type, video.codec_context.thread_count = "NONE", 1
        small, full = (set(spread(video.frames, count)) for count in (FRAMES, KEY_FRAMES))
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        at = 0
        for packet in container.demux(video, audio):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    if at in small:
                        scale = SIDE_PX / min(frame.width, frame.height)
                        size = round(frame.width * scale), round(frame.height * scale)
                        frame.reformat(*size, "rgb24", interpolation=SCALER, threads=1).to_ndarray()
                    if at in full:
                        frame.reformat(format="rgb24", interpolation=SCALER, threads=1).to_ndarray()
                    at += 1
                elif isinstance(frame, av.AudioFrame):
                    for part in resampler.resample(frame):
                        part.to_ndarray()


def decord(path: str) -> None:
    read_clip(path, frames=FRAMES, key_frames=KEY_FRAMES, decoder="decord")


def ffmpeg(path: str) -> None:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", path, "-f", "null", "-"]
    subprocess.run(command, check=True)


def spread(n: int, count: int) -> list[int]:
    return np.linspace(0, n - 1, count).round().astype(int).tolist()  # type: ignore[no-any-return]


def readers() -> dict[str, Reader]:
    found: dict[str, Reader] = {"tikval": tikval, "pyav": sequential}
    if importlib.util.find_spec("decord"):
        found["decord"] = decord
    if shutil.which("ffmpeg"):
        found["ffmpeg"] = ffmpeg
    return found


def cpu_seconds() -> float:
    """CPU seconds of this process, its threads, and its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def cost(reader: Reader, path: str) -> float:
    before = cpu_seconds()
    reader(path)
    return cpu_seconds() - before


def compare(spec: Spec, turns: int, ffmpeg_start: float) -> dict[str, Any]:
    """CPU seconds of each reader, and as ratios to ffmpeg's (to those of `pyav` where there is no ffmpeg)."""
    path = str(cached(spec))
    found = readers()
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(turns + 1):
        for name, reader in found.items():
            used = cost(reader, path)
            if turn:  # the first loads libraries and fills the disk's cache
                seconds[name].append(used)
    against = "ffmpeg" if "ffmpeg" in found else "pyav"

    def ratios(start: float) -> dict[str, list[float]]:
        return {
            name: sorted(one / (other - start) for one, other in zip(used, seconds[against], strict=True))
            for name, used in seconds.items()
            if name != against
        }

    whole = ratios(0)
    return {
        "clip": spec.name,
        "megabits_per_second": megabits(Path(path), spec),
        "pictures_decoded": [decoded(path), spec.seconds * RATE],  # by tikval, of all
        "turns": turns,
        "cpu_seconds": {name: statistics.median(used) for name, used in seconds.items()},
        "against": against,
        "ratio": {name: statistics.median(some) for name, some in whole.items()},
        "ratio_range": {name: [some[0], some[-1]] for name, some in whole.items()},
        "ratio_without_start": {
            name: statistics.median(some)
            for name, some in ratios(ffmpeg_start).items()
            if against == "ffmpeg"
        },
    }


def decoded(path: str) -> int:
    """Pictures that the decoder yields where tikval jumps: those asked for, and all that these need. 0: no jumps."""
    count, take = 0, seeking._take_all

    def counting(frames: list[av.VideoFrame], taker: Taker) -> None:
        nonlocal count
        count += len(frames)
        take(frames, taker)

    with mock.patch.object(seeking, "_take_all", counting):
        tikval(path)
    return count


def growth_mb(name: str, opens: int) -> float:
    """Growth of resident memory in a process of its own, from after the first tenth to the end."""
    command = [sys.executable, __file__, "--opens", str(opens), "--reader", name]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.splitlines()[-1])


def open_often(name: str, opens: int) -> None:
    path = str(cached(Spec(576, 1024, 1)))
    process = psutil.Process()
    before = 0
    for index in range(opens + opens // 10):
        if index == opens // 10:
            before = process.memory_info().rss
        readers()[name](path)
    print((process.memory_info().rss - before) / 2**20)


def machine() -> dict[str, Any]:
    models = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": models[0].split(":", 1)[1].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "av": av.__version__,
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
        "decord2": _version("decord2"),
        "ffmpeg": _ffmpeg_version(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _ffmpeg_version() -> str:
    if not shutil.which("ffmpeg"):
        return "not installed"
    output = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    return output.split()[2]


def rounded(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: rounded(value) for name, value in x.items()}
    if isinstance(x, list):
        return [rounded(value) for value in x]
    return round(x, 3) if isinstance(x, float) else x


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--opens", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--reader", default="tikval", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.opens:
        open_often(options.reader, options.opens)
        return 0
    quick, opens = options.quick, 100 if options.quick else 500
    one_picture = str(cached(Spec(64, 64, 1)))
    start = statistics.median(cost(ffmpeg, one_picture) for _ in range(7)) if shutil.which("ffmpeg") else 0.0
    rows = []
    for spec in QUICK if quick else FULL:
        row = compare(spec, turns=9 if spec == MAIN else 5 if spec in QUICK else 3, ffmpeg_start=start)
        rows.append(row)
        shown = "  ".join(f"{name} {ratio:.2f}" for name, ratio in row["ratio"].items())
        print(
            f"{row['clip']:36} {row['megabits_per_second']:5.1f} Mbit/s  of {row['against']}: {shown}",
            flush=True,
        )
    growth = {name: growth_mb(name, opens) for name in readers() if name in ("tikval", "decord")}
    print(f"growth of memory over {opens} opens, MB: {rounded(growth)}", flush=True)
    targets = {
        f"growth over {opens} opens, MB": {"figure": growth["tikval"], "at_most": TARGET_GROWTH_MB},
    }
    if rows[0]["against"] == "ffmpeg":
        ratios = {row["clip"]: row["ratio"]["tikval"] for row in rows}
        for spec, most in TARGETS.items():
            targets[f"{spec.name}, of ffmpeg's CPU time"] = {"figure": ratios[spec.name], "at_most": most}
    else:
        print("no ffmpeg on PATH: the target needs it and was not checked")
    for target in targets.values():
        target["met"] = target["figure"] <= target["at_most"]
    report = {
        "command": " ".join(["python", "benchmarks/decode.py", *arguments]),
        "machine": machine(),
        "ffmpeg_start_cpu_seconds": start,
        "clips": rows,
        "opens": opens,
        "growth_mb": growth | ({} if "decord" in growth else {"decord": "not installed"}),
        "targets": targets,
    }
    report = rounded(report)
    if options.write or not quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if all(target["met"] for target in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
