"""Video files of real size for the benchmarks of reading: made once, kept in the cache folder.

What they show moves like handheld video: a textured ground that pans, a body before it that moves otherwise, light
that changes, grain that differs in every picture. Their bit rate is printed, so that it can be held against real
files. Scene cuts are left out: encoders start a group of pictures there, which would make seeking cheaper.

H x W pixels.
"""

import os
import subprocess
import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

RATE: Final = 30  # pictures a second
SOUND_RATE: Final = 44_100  # Hz
_MARGIN: Final = 96  # pixels that the ground pans to each side
_VERSION: Final = 1  # of what is drawn: another is another file
_LOOP_SECONDS: Final = 60  # longer files repeat this much
_TEXT: Final = (
    "Today I want to show you what I eat in a day as a student. I never buy lunch outside, because saving money "
    "matters to me. Every evening I cook for my friends, and we share what we have."
)

Plane = NDArray[np.uint8]  # [H, W] brightness


@dataclass(frozen=True)
class Spec:
    """One file; its name tells all of it."""

    width: int
    height: int
    seconds: int
    gop: int = 250  # pictures from one keyframe to the next
    b_frames: int = 3
    codec: str = "h264"
    talk: bool = False  # white letters on the picture and a voice over the sound: work for the recognisers

    @property
    def name(self) -> str:
        frames = f"{self.b_frames}b" if self.b_frames else "no-b"
        text = "-talk" if self.talk else ""
        return f"{self.width}x{self.height}-{self.seconds}s-gop{self.gop}-{frames}-{self.codec}{text}"


def cached(spec: Spec) -> Path:
    """The file, made where it is not there yet."""
    folder = (
        Path(os.environ.get("TIKVAL_CACHE", Path(tempfile.gettempdir()) / "tikval-cache")) / "benchmark-clips"
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{spec.name}-v{_VERSION}.mp4"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.part")
        if spec.seconds > _LOOP_SECONDS:
            repeat(cached(replace(spec, seconds=_LOOP_SECONDS)), spec.seconds // _LOOP_SECONDS, part)
        else:
            write(spec, part)
        part.replace(path)
    return path


def megabits(path: Path, spec: Spec) -> float:
    """Megabits per second, sound included."""
    return path.stat().st_size * 8 / 1e6 / spec.seconds


def repeat(source: Path, times: int, target: Path) -> None:
    """The same packets again and again, with later times."""
    with av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as writer:
        streams: dict[int, Any] = {}
        for turn in range(times):
            with av.open(str(source)) as reader:
                assert reader.duration is not None
                for stream in reader.streams:
                    if turn == 0:
                        streams[stream.index] = writer.add_stream_from_template(stream)
                shift = turn * (
                    Fraction(reader.duration, av.time_base) + Fraction(1, 10)
                )  # sound starts before 0
                for packet in reader.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts += round(shift / packet.time_base)
                    packet.dts += round(shift / packet.time_base)
                    packet.stream = streams[packet.stream.index]
                    writer.mux(packet)


def write(spec: Spec, path: Path) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        video: Any = container.add_stream("libx265" if spec.codec == "hevc" else "libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = spec.width, spec.height, "yuv420p"
        video.options = _encoder_options(spec)
        audio: Any = container.add_stream("aac", rate=SOUND_RATE)
        painter = Painter(spec)
        for index in range(spec.seconds * RATE):
            frame = VideoFrame.from_ndarray(painter.picture(index), format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for samples, at in sound(spec.seconds, spec.talk):
            sounding = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            sounding.sample_rate, sounding.pts, sounding.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
            container.mux(audio.encode(sounding))
        container.mux(audio.encode(None))


def _encoder_options(spec: Spec) -> dict[str, str]:
    shape = f"keyint={spec.gop}:min-keyint={spec.gop}:scenecut=0:bframes={spec.b_frames}"
    if spec.codec == "hevc":
        return {"preset": "ultrafast", "crf": "24", "x265-params": f"{shape}:log-level=none"}
    return {"preset": "veryfast", "crf": "23", "x264-params": shape}


class Painter:
    """Pictures in yuv420p, [H * 3 / 2, W]: the brightness, then a quarter of each colour plane."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._rng = np.random.default_rng(7)
        ground = self._texture(spec.height + 2 * _MARGIN + 1, spec.width + 2 * _MARGIN + 1).astype(np.uint16)
        self._grounds = {  # moved by half a pixel: a decoder has to interpolate, as it has to for real motion
            (y, x): ((ground + np.roll(ground, (-y, -x), (0, 1)) + 1) // 2).astype(np.uint8)
            for y in (0, 1)
            for x in (0, 1)
        }
        self._body = self._texture(spec.height // 2, spec.width // 2)
        rows, columns = np.mgrid[-1 : 1 : self._body.shape[0] * 1j, -1 : 1 : self._body.shape[1] * 1j]
        self._inside = rows**2 + columns**2 < 1
        grain = self._rng.normal(0, 4, (spec.height + 64, spec.width + 64))
        self._grain = grain.round().astype(np.int16)
        self._letters = _letters(spec) if spec.talk else None

    def _texture(self, height: int, width: int) -> Plane:
        """Noise of every coarseness, the coarse the stronger, as in photographs."""
        total = np.zeros((height, width))
        for cells in (4, 8, 16, 32, 64, 128, 256):
            coarse = self._rng.normal(0, 1, (cells, max(2, cells * width // height))).astype(np.float32)
            total += (
                np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
                / cells**0.7
            )
        total = (total - total.mean()) / total.std()
        texture: Plane = np.clip(120 + 40 * total, 20, 230).astype(np.uint8)
        return texture

    def picture(self, index: int) -> NDArray[np.uint8]:
        height, width = self.spec.height, self.spec.width
        seconds = index / RATE
        top = round(2 * _MARGIN * (1 + 0.9 * np.sin(0.9 * seconds)))
        left = round(2 * _MARGIN * (1 + 0.9 * np.sin(0.7 * seconds + 1)))
        ground = self._grounds[top % 2, left % 2]
        luma = ground[top // 2 : top // 2 + height, left // 2 : left // 2 + width].copy()
        down = round(height / 4 * (1 + 0.5 * np.sin(2.1 * seconds)))
        across = round(width / 4 * (1 + 0.8 * np.sin(1.7 * seconds)))
        behind = luma[down : down + self._body.shape[0], across : across + self._body.shape[1]]
        behind[self._inside] = self._body[self._inside]
        y, x = self._rng.integers(0, 64, 2)
        light = 10 * np.sin(0.5 * seconds)
        grainy = luma + self._grain[y : y + height, x : x + width] + np.int16(light)
        if self._letters is not None:
            grainy[self._letters] = 250
        colour = np.full((height // 2, width), 128, np.uint8)
        colour[: height // 4] = 118 + luma[:height:4, :] // 16
        colour[height // 4 :] = 138 - luma[:height:4, :] // 16
        return np.concatenate([np.clip(grainy, 0, 255).astype(np.uint8), colour])


def _letters(spec: Spec) -> NDArray[np.bool_]:
    from PIL import ImageDraw, ImageFont

    page = Image.new("L", (spec.width, spec.height))
    font = ImageFont.load_default(spec.width // 14)
    lines = "what I eat in a day\nas a student on\na tight budget"
    ImageDraw.Draw(page).multiline_text((spec.width // 8, spec.height // 6), lines, 255, font)
    letters: NDArray[np.bool_] = np.asarray(page) > 127
    return letters


def sound(seconds: int, talk: bool) -> list[tuple[NDArray[np.int16], int]]:
    """Tones that come and go over noise, or a voice over them, as (1,024 samples, the number of the first)."""
    rng = np.random.default_rng(3)
    times = np.arange(seconds * SOUND_RATE) / SOUND_RATE
    tones = ((220, 0.7), (330, 1.3), (555, 2.9))  # their pitch and how often they come, Hz
    wave = sum(np.sin(2 * np.pi * f * times) * (1 + np.sin(2 * np.pi * s * times)) for f, s in tones)
    samples = (300 if talk else 2500) * wave + rng.normal(0, 60 if talk else 600, len(times))
    if talk:
        samples += 0.5 * np.resize(_voice(), len(times))
    clipped = np.clip(samples, -32768, 32767).astype(np.int16)
    return [(clipped[at : at + 1024], at) for at in range(0, len(clipped), 1024)]


def _voice() -> NDArray[np.int16]:
    """Some ten seconds by espeak-ng, a system package that the sample clips use too."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/voice.wav"
        subprocess.run(["espeak-ng", "-s", "150", "-w", file, _TEXT], check=True)
        with av.open(file) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SOUND_RATE)
            frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
