"""A stream whose clock jumps, as parts of a live stream that were joined: it lasts as long as its pictures."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.fixtures import clips
from tikval.config import Limits
from tikval.media.clip import read_clip
from tikval.media.reading import SAMPLE_RATE
from tikval.media.remux import remux

RATE = 25  # pictures a second


def part(path: Path, at: float, seconds: float = 2, first: int = 0, **options: Any) -> bytes:
    """A part of a transport stream with numbered pictures, and a tone of its own, whose clock starts `at` seconds."""
    whole: dict[str, Any] = {"options": {"bf": "2"}, "sound": clips.tone(seconds, hertz=400 + 4 * first)}
    n = round(seconds * RATE)
    pictures = [clips.draw(first + index, 128, 96) for index in range(n)]
    clip = clips.write_clip(path / "part.mp4", pictures=pictures, **(whole | options))
    return shifted(clip, path / "part.ts", at).read_bytes()


def shifted(clip: Path, to: Path, at: float, only: str = "", **container_options: str) -> Path:
    """The same packets with times that start later, those of `only` one kind of track where it is given."""
    options = {"mpegts_copyts": "1"} if to.suffix == ".ts" else container_options
    with av.open(str(clip)) as reader, av.open(str(to), "w", options=options) as writer:
        streams = {stream.index: writer.add_stream_from_template(stream) for stream in reader.streams}
        for packet in reader.demux():
            if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                later = round((at if packet.stream.type.startswith(only) else 0) / packet.time_base)
                packet.pts, packet.dts = packet.pts + later, packet.dts + later
                packet.stream = streams[packet.stream.index]
                writer.mux(packet)
    return to


JOINED = {
    "leaps ahead": (10, 70),
    "leaps by hours": (10, 70_000),
    "falls back": (70, 10),
    "falls back by hours": (70_000, 10),
    "starts anew": (10, 10, 10, 10),
    "back and forth": (10, 500, 20, 9_000, 3),
    "a part is missing": (10, 18),
    "wraps": (2**33 / 90_000 - 1, 1),
}


@pytest.mark.parametrize("kind", JOINED)
def test_it_lasts_as_long_as_its_pictures(kind: str, tmp_path: Path) -> None:
    path, starts = tmp_path / "a.ts", JOINED[kind]
    path.write_bytes(b"".join(part(tmp_path, at, first=50 * n) for n, at in enumerate(starts)))
    clip = read_clip(str(path), frames=2 * len(starts), key_frames=2 * len(starts) + 1)
    assert clip.n_frames == 50 * len(starts)
    assert clip.seconds == pytest.approx(2 * len(starts), abs=0.1 * len(starts))
    numbers = [clips.number_of(frame) for frame in clip.key_frames]
    assert numbers == sorted(numbers)
    for number, seconds in zip(numbers, clip.key_seconds, strict=True):
        assert seconds == pytest.approx(number / RATE, abs=0.12 * len(starts))
    assert clip.sound is not None
    assert len(clip.sound) / SAMPLE_RATE == pytest.approx(clip.seconds, abs=0.1 * len(starts))
    for n in range(len(starts)):  # pictures and sound of a part are found at the same time
        middle = clip.sound[round((2 * n + 1) * 0.995 * SAMPLE_RATE) :][: SAMPLE_RATE // 2].astype(float)
        assert 2 * np.argmax(np.abs(np.fft.rfft(middle))) == pytest.approx(400 + 200 * n, abs=4)


@pytest.mark.parametrize("starts", [(10, 70), (70_000, 10, 5)])
def test_what_is_sent_lasts_as_long(starts: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(part(tmp_path, at, first=50 * n) for n, at in enumerate(starts)))
    with path.open("rb") as file:
        remux(file.fileno(), tmp_path / "sent", Limits())
    sent = read_clip(str(tmp_path / "sent"), frames=2 * len(starts))
    assert sent.seconds == pytest.approx(2 * len(starts), abs=0.1 * len(starts))
    numbers = [clips.number_of(frame) for frame in sent.frames]
    assert numbers == sorted(numbers)
    assert sent.n_frames == 50 * len(starts)


def test_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(part(tmp_path, at, sound=None) for at in (10, 70, 5)))
    clip = read_clip(str(path))
    assert clip.seconds == pytest.approx(6, abs=0.1)
    assert not clip.has_sound


def test_it_is_not_too_long_for_its_clock_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(part(tmp_path, 10) + part(tmp_path, 5_000))
    assert read_clip(str(path), limits=Limits(video_seconds=5)).seconds == pytest.approx(4, abs=0.2)


def test_a_part_without_sound_leaves_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    whole = part(tmp_path, 10)
    path.write_bytes(whole + part(tmp_path, 70, sound=None, first=50) + part(tmp_path, 200, first=100))
    clip = read_clip(str(path), key_frames=4)
    assert clip.sound is not None
    loud = [bool(np.abs(clip.sound[round(at * SAMPLE_RATE) :][:1600]).max() > 1000) for at in (1, 3, 5)]
    assert loud == [True, False, True]
    assert clip.seconds == pytest.approx(6, abs=0.3)


def test_slow_slides_are_no_jump(tmp_path: Path) -> None:
    """One picture held while the sound goes on, and pictures that come slowly throughout."""
    times = [*range(0, 1000, 40), *range(13_000, 14_000, 40)]
    held = clips.write_clip(tmp_path / "held.mp4", pts=times, n=50, sound=clips.tone(14))
    clip = read_clip(str(shifted(held, tmp_path / "held.ts", 10)))
    assert clip.seconds == pytest.approx(14, abs=0.2)
    slow = clips.write_clip(tmp_path / "slow.mp4", pts=[6000 * n for n in range(8)], n=8)
    assert read_clip(str(shifted(slow, tmp_path / "slow.ts", 10))).seconds == pytest.approx(42, abs=6.1)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv"])
def test_where_the_file_has_an_index_or_states_its_length_a_still_picture_stays(
    suffix: str, tmp_path: Path
) -> None:
    times = [*range(0, 1000, 40), *range(61_000, 62_000, 40)]
    clip = read_clip(str(clips.write_clip(tmp_path / f"a.{suffix}", pts=times, n=50)), key_frames=2)
    assert clip.seconds > 61.9  # the muxer holds the last one, too
    assert clip.n_frames == 50
    if suffix != "flv":  # there pictures are counted
        assert clip.key_seconds == pytest.approx([0, 61.96], abs=0.01)


def test_one_damaged_time_changes_little(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    content = bytearray(part(tmp_path, 10, options={"bf": "0"}))
    starts = [at for at in range(0, len(content), 188) if content.find(b"\0\0\1\xe0", at, at + 188) > 0]
    at = content.find(b"\0\0\1\xe0", starts[20])
    content[at + 9] ^= 0b0000_1000  # of the picture's time, bit 32: 13 hours
    path.write_bytes(content)
    clip = read_clip(str(path))
    assert clip.seconds == pytest.approx(2, abs=0.2)
    assert clip.sound_start == pytest.approx(0, abs=0.1)


def test_joined_flash_parts(tmp_path: Path) -> None:
    clip = clips.write_clip(tmp_path / "a.mp4", options={"bf": "2"}, sound=clips.tone(2))
    first = shifted(clip, tmp_path / "first.flv", 0).read_bytes()
    second = shifted(clip, tmp_path / "second.flv", 300, flvflags="no_duration_filesize").read_bytes()
    path = tmp_path / "a.flv"
    path.write_bytes(first + second[13:])  # without its header
    read = read_clip(str(path))
    assert read.n_frames == 100
    assert read.seconds == pytest.approx(4, abs=0.2)
    assert read.lost_packets <= 2
