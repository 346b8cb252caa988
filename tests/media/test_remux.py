"""What is sent of a video: its first picture and sound tracks as they are, and nothing that is written about them."""

import os
import pickle
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.fixtures import clips
from tests.fixtures.dressed import WORDS, dress
from tests.fixtures.mutations import broken, write_seeds
from tests.media.test_clip import KINDS, Write, edit_list
from tikval.config import Limits
from tikval.machine import ScratchFolder
from tikval.media.child import Child
from tikval.media.clip import read_clip
from tikval.media.fetch import StrippedVideos
from tikval.media.reading import SUFFIXES, ClipError, Want
from tikval.media.remux import remux
from tikval.rows import Reason

Packets = list[tuple[bytes, Any, Any, bool]]


def packets(path: Path, kind: str, *, with_dts: bool = True) -> Packets:
    """Payload, times in seconds and keyframe mark of each packet of the first track of a kind."""
    with av.open(str(path)) as container:
        (track, *_) = getattr(container.streams, kind) or [None]
        if track is None:
            return []
        return [
            (
                bytes(packet),
                None if packet.pts is None else packet.pts * packet.time_base,
                packet.dts * packet.time_base if with_dts and packet.dts is not None else None,
                packet.is_keyframe,
            )
            for packet in container.demux(track)
            if packet.size
        ]


def stripped(path: Path, folder: Path) -> tuple[str, Path]:
    to = folder / "stripped"
    with path.open("rb") as file:
        return remux(file.fileno(), to, Limits()).container, to


def plain(folder: Path) -> Path:
    return clips.write_clip(folder / "plain.mp4", options={"bf": "2"}, sound=clips.tone(2))


@pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)
def test_a_player_shows_and_plays_the_same(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path)
    name, to = stripped(path, tmp_path)
    before, after = read_clip(str(path)), read_clip(str(to))
    assert np.array_equal(before.frames, after.frames)
    sounds = [[] if clip.sound is None else clip.sound.tolist() for clip in (before, after)]
    assert sounds[0] == sounds[1]
    assert (before.width, before.height, before.n_frames) == (after.width, after.height, after.n_frames)
    assert after.seconds == pytest.approx(before.seconds, abs=1e-3)
    assert after.sound_start == pytest.approx(before.sound_start, abs=1e-3)
    assert after.lost_packets == before.lost_packets
    if path.suffix[1:] == name:  # in another container the times have another clock
        for kind in ("video", "audio"):
            assert packets(path, kind) == packets(to, kind)


@pytest.mark.parametrize("kind", ["mp4", "matroska"])
def test_nothing_that_is_written_about_a_video_is_left(kind: str, tmp_path: Path) -> None:
    path = dress(plain(tmp_path), tmp_path / "dressed", kind)
    name, to = stripped(path, tmp_path)
    content = to.read_bytes()
    assert not [word for word in WORDS if word.encode() in content]
    assert not [box for box in (b"udta", b"meta", b"ilst", b"chpl", b"Handler", b"Lavf") if box in content]
    assert name == "mp4"
    with av.open(str(to)) as container:
        assert [track.type for track in container.streams] == ["video", "audio"]
        assert not container.chapters()
        assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands"}
    with av.open(str(path)) as before, av.open(str(to)) as after:
        for old, new in zip(list(before.streams)[:2], after.streams, strict=True):
            assert old.codec_context is not None
            assert new.codec_context is not None
            assert old.codec_context.extradata == new.codec_context.extradata
    for track in ("video", "audio"):
        old_packets, new_packets = packets(path, track, with_dts=False), packets(to, track, with_dts=False)
        assert [packet[0] for packet in old_packets] == [packet[0] for packet in new_packets]
        for (_, old_pts, _, _), (_, new_pts, _, _) in zip(old_packets, new_packets, strict=True):
            assert float(old_pts) == pytest.approx(float(new_pts), abs=1e-3)


def test_the_turning_of_the_picture_stays(tmp_path: Path) -> None:
    path = plain(tmp_path)
    clips.patch_matrix(path, (0, 1, -1, 0))
    _, to = stripped(path, tmp_path)
    with av.open(str(path)) as before, av.open(str(to)) as after:
        turned = [next(container.decode(video=0)).rotation for container in (before, after)]
    assert turned[0] == turned[1] != 0


def test_comments_in_a_codecs_own_headers_go(tmp_path: Path) -> None:
    """Vorbis has title and artist among the headers that its decoder needs."""
    path, options = tmp_path / "a.ogg", {"deadline": "realtime"}
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "TITLEWORD"
        video: Any = container.add_stream("libvpx", rate=25, options=options)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        sound: Any = container.add_stream("vorbis", rate=44_100, options={"strict": "experimental"})
        sound.layout = "stereo"  # all that FFmpeg's own encoder knows
        for track in (video, sound):
            track.metadata["artist"] = "ARTISTWORD"
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(clips.draw(index, 128, 96), format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        tone = clips.tone(1).repeat(2)[None].astype(np.float32) / 32768
        for start in range(0, 44_100, 1024):
            part = av.AudioFrame.from_ndarray(
                tone[:, 2 * start : 2 * start + 2048], format="flt", layout="stereo"
            )
            part.sample_rate, part.pts = 44_100, start
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    assert b"ARTISTWORD" in path.read_bytes()
    name, to = stripped(path, tmp_path)
    assert name == "webm"
    assert b"WORD" not in to.read_bytes()
    before, after = read_clip(str(path)), read_clip(str(to))
    assert np.array_equal(before.frames, after.frames)
    assert before.sound is not None
    assert after.sound is not None
    assert abs(len(before.sound) - len(after.sound)) <= 200
    assert after.lost_packets == 0


@pytest.mark.parametrize("n", range(23, 32))
def test_a_cut_end_stays_cut(n: int, tmp_path: Path) -> None:
    """Wherever an edit list ends, also between a picture and those that need it."""
    path = edit_list(tmp_path)
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 12
    content[at : at + 4] = (n * 40).to_bytes(4, "big")
    path.write_bytes(content)
    _, to = stripped(path, tmp_path)
    shown = [
        [clips.number_of(frame) for frame in read_clip(str(file), frames=n).frames] for file in (path, to)
    ]
    assert shown[0] == shown[1] == list(range(13, 13 + n))
    assert read_clip(str(to)).n_frames == n


def test_what_cannot_be_written_anew_has_its_reason_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tikval.media.remux.joints", lambda *_: {}
    )  # as in a container whose clock does not jump
    one = clips.write_clip(tmp_path / "a.ts", n=100).read_bytes()
    twice = tmp_path / "twice.ts"  # its times begin again in its middle
    twice.write_bytes(one + one)
    with pytest.raises(ClipError) as raised:
        stripped(twice, tmp_path)
    assert raised.value.reason == Reason.NOT_STRIPPED
    assert raised.value.reason.terminal
    assert "backwards" in raised.value.detail
    assert not (tmp_path / "stripped").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_no_fault_of_the_file(tmp_path: Path) -> None:
    path = plain(tmp_path)
    (tmp_path / "stripped").symlink_to("/dev/full")
    with pytest.raises(ClipError) as raised:
        stripped(path, tmp_path)
    assert (raised.value.reason, raised.value.reason.terminal) == (Reason.NO_SPACE, False)


# through the worker, and what a hostile one leaves


def test_the_worker_writes_it_and_its_folder_is_empty_again(tmp_path: Path) -> None:
    path = dress(plain(tmp_path), tmp_path / "dressed.mp4", "mp4")
    with Child(Limits(seconds=60)) as child:
        content_sha = child.read(str(path), Want()).content_sha
        found = child.strip(str(path), str(tmp_path / "to"))
        assert (found.container, found.content_sha) == ("mp4", content_sha)
        assert child._process is not None
        assert not os.listdir(child._process._folder.path)  # noqa: PTH208
    assert (tmp_path / "to").read_bytes() == stripped(path, tmp_path)[1].read_bytes()


LEAVES = """
    import json, os, struct, sys
    def send(header):
        text = json.dumps(header).encode()
        os.write(1, struct.pack(">I", len(text)) + text)
    send({"ready": True})
    while True:
        (length,) = struct.unpack(">I", sys.stdin.buffer.read(4))
        what = os.path.basename(json.loads(sys.stdin.buffer.read(length))["path"])
        container = "mp4"
        if what == "link": os.symlink(sys.argv[1], "stripped")
        elif what == "second name": os.link(sys.argv[1], "stripped")
        elif what == "pipe": os.mkfifo("stripped")
        elif what == "folder": os.mkdir("stripped")
        elif what == "empty": open("stripped", "w").close()
        elif what == "giant": os.truncate(os.open("stripped", os.O_CREAT | os.O_RDWR), 3 * 2**20)
        elif what == "container": open("stripped", "w").write("x"); container = "exe"
        elif what == "fine": open("stripped", "w").write("x")
        send({"container": container, "content_sha": "00"})
"""


@pytest.mark.parametrize(
    "what", ["link", "second name", "pipe", "folder", "empty", "giant", "container", "nothing"]
)
def test_what_a_hostile_worker_leaves_is_not_taken(what: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "leaves.py").write_text(textwrap.dedent(LEAVES))
    command = (sys.executable, str(tmp_path / "leaves.py"), str(tmp_path / "secret"))
    with ScratchFolder() as folder:
        same_disk = Path(folder.path) / "secret"  # a second name is one on the same disk
        same_disk.write_text("secret")
        command = (*command[:2], str(same_disk))
        with Child(Limits(seconds=20, file_mb=1), command=command) as child:
            with pytest.raises(ClipError) as raised:
                child.strip(what, str(tmp_path / "to"))
            assert raised.value.reason == Reason.CRASHED
            assert child.strip("fine", str(tmp_path / "to")).container == "mp4"
    assert (tmp_path / "to").read_text() == "x"


def test_broken_files_cost_their_own_row(tmp_path: Path) -> None:
    """What can be read can nearly always be sent; nothing takes the worker down."""
    seeds, outcomes = write_seeds(tmp_path / "seeds"), Counter[str]()
    path = tmp_path / "video.mp4"
    with Child(Limits(seconds=30, memory_mb=1024)) as child:
        for index in range(60):
            _, content = broken(index, seeds)
            path.write_bytes(content)
            try:
                child.strip(str(path), str(tmp_path / "to"))
            except ClipError as err:
                outcomes[err.reason] += 1
            else:
                outcomes["stripped"] += 1
    assert outcomes["stripped"] > 20, outcomes
    allowed = {"stripped", Reason.UNREADABLE, Reason.NO_VIDEO, Reason.DAMAGED, Reason.NOT_STRIPPED}
    assert set(outcomes) <= allowed, outcomes


# the files to send


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Names of what lies below the folder for temporary files, the worker's own folder apart."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return lambda: sorted(str(path) for path in (tmp_path / "tmp").rglob("*") if path.is_file())


def test_a_file_to_send_is_deleted_afterwards(tmp_path: Path, scratch: Callable[[], list[str]]) -> None:
    path = plain(tmp_path)
    to_send = pickle.loads(pickle.dumps(StrippedVideos(Limits(seconds=60))))  # as it travels to an actor
    with to_send(str(path), None) as sent:
        assert Path(sent).suffix == SUFFIXES["mp4"]
        assert scratch() == [sent]
        assert Path(sent).parent.stat().st_mode & 0o777 == 0o700
    assert not scratch()
    with pytest.raises(KeyError), to_send(str(path), None):
        raise KeyError
    assert not scratch()
    (tmp_path / "page.mp4").write_text("<html>")
    with pytest.raises(ClipError, match="unreadable"), to_send(str(tmp_path / "page.mp4"), None):
        pass
    assert not scratch()
    with pytest.raises(ClipError) as raised, to_send(str(path), "0" * 64):
        pass
    assert raised.value.reason == Reason.MISSING_FILE, "it is not the file that was read"
    assert not scratch()


def test_no_worker_can_be_started_and_the_video_is_not_to_blame(tmp_path: Path) -> None:
    path = plain(tmp_path)
    code = f"""
        import os, resource
        from tikval.config import Limits
        from tikval.media.child import Child
        from tikval.media.reading import ClipError, Want
        child = Child(Limits())
        held = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 1, 4096))
        try:
            child.read({str(path)!r}, Want())
        except ClipError as err:
            print(err.reason, err.reason.terminal)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
        print(child.read({str(path)!r}, Want()).n_frames)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["no_process", "False", "50"]
