"""How much of a damaged file counts as lost, and the share from which on it is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures import clips
from tikval.config import Limits
from tikval.media.child import Child
from tikval.media.clip import Clip, read_clip
from tikval.media.reading import ClipError, Want
from tikval.rows import Reason

FASTSTART = {"movflags": "faststart"}
STATING: dict[str, tuple[str, dict[str, Any]]] = {  # containers that state in front how much there is
    "mp4": ("a.mp4", {"container_options": FASTSTART}),
    "hevc": (
        "a.mp4",
        {
            "codec": "libx265",
            "options": {"x265-params": "log-level=none:pools=1"},
            "container_options": FASTSTART,
        },
    ),
    "mkv": ("a.mkv", {}),
    "webm": (
        "a.webm",
        {
            "codec": "libvpx-vp9",
            "options": {"deadline": "realtime", "cpu-used": "8"},
            "sound_codec": "libopus",
            "sound_rate": 48_000,
            "sound": clips.tone(2.8, 48_000),
        },
    ),
    "flv": ("a.flv", {}),
}


def write(path: Path, **options: Any) -> Path:
    whole: dict[str, Any] = {"pictures": clips.moving(70, 160, 96), "width": 160, "sound": clips.tone(2.8)}
    return clips.write_clip(path, **(whole | options))


def read_all(path: Path) -> Clip:
    return read_clip(str(path), max_lost_share=1)


def share(clip: Clip) -> float:
    return clip.lost_packets / clip.total_packets


@pytest.mark.parametrize("kind", STATING)
def test_the_shorter_the_cut_the_more_is_lost(kind: str, tmp_path: Path) -> None:
    name, options = STATING[kind]
    path = write(tmp_path / name, **options)
    content = path.read_bytes()
    lost = []
    for kept in (1, 0.9, 0.7, 0.4):
        path.write_bytes(content[: int(kept * len(content))])
        lost.append(share(read_all(path)))
    assert lost[0] == 0
    assert lost == sorted(lost)
    # bytes are not packets: the first picture is the largest
    assert lost[1:] == pytest.approx([0.1, 0.3, 0.6], abs=0.1)


def test_a_cut_fragment_is_lost_and_the_others_are_read(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    path = write(tmp_path / "a.mp4", container_options=options)
    whole = read_all(path)
    clips.truncate(path, 0.7)
    part = read_all(path)
    assert whole.lost_packets == 0
    assert 0.05 < share(part) < 0.4  # of what its last fragment announces: those after it left no trace
    assert np.array_equal(part.frames[0], whole.frames[0])


def test_a_stream_that_states_no_length_is_only_shorter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ts")
    clips.truncate(path, 0.5)
    clip = read_all(path)
    assert clip.lost_packets <= 2  # the packet that was cut, of each track
    assert clip.seconds == pytest.approx(1.4, abs=0.3)


@pytest.mark.parametrize("kind", ["mp4", "hevc"])
def test_rot_is_counted_and_its_pictures_replaced(kind: str, tmp_path: Path) -> None:
    name, options = STATING[kind]
    path = write(tmp_path / name, gop=10, **options)
    content = path.read_bytes()
    shares = []
    for rotten in (0.005, 0.05, 0.5):
        path.write_bytes(content)
        clips.rot(path, rotten)
        clip = read_all(path)
        assert clip.frames.shape[0] == 16
        shares.append(share(clip))
    assert 0 < shares[0] < shares[1] < shares[2] <= 1


def test_lost_sound_counts_too(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.mp4",
        pictures=clips.moving(5, 160, 96),
        sound=clips.tone(5),
        container_options=FASTSTART,
    )
    whole = read_all(path)
    content = bytearray(path.read_bytes())
    content[-6000:] = bytes(6000)  # long after the last picture
    path.write_bytes(content)
    clip = read_all(path)
    assert np.array_equal(clip.frames, whole.frames)
    assert clip.lost_packets > 5


def test_the_share_itself_is_still_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", container_options=FASTSTART)
    clips.truncate(path, 0.7)
    lost = share(read_all(path))
    assert read_clip(str(path), max_lost_share=lost).lost_packets > 0
    with pytest.raises(ClipError, match="packets are lost") as raised:
        read_clip(str(path), max_lost_share=lost - 1e-6)
    assert raised.value.reason == Reason.DAMAGED


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with Child(Limits(seconds=60)) as child:
        yield child


@pytest.mark.parametrize(("allowed", "passes"), [(0.01, False), (0.5, True)])
def test_the_share_reaches_the_worker(allowed: float, passes: bool, child: Child, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", container_options=FASTSTART)
    clips.truncate(path, 0.8)
    want = Want(frames=4, max_lost_share=allowed)
    if passes:
        reading = child.read(str(path), want)
        assert 0 < reading.lost_packets < reading.total_packets
    else:
        with pytest.raises(ClipError) as raised:
            child.read(str(path), want)
        assert raised.value.reason == Reason.DAMAGED
