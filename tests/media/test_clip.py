"""Exactness of the reader against a plain sequential decode, and every way a file can be broken."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from tests.fixtures import clips
from tikval.config import Limits
from tikval.media.clip import read_clip
from tikval.media.reading import ClipError, Scene
from tikval.media.scene import describe_scene
from tikval.media.seeking import take_by_seeking
from tikval.rows import Reason

Write = Callable[[Path], Path]
SCALER = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def plain(path: Path) -> Path:
    return clips.write_clip(path / "a.mp4", options={"bf": "3"}, sound=clips.tone(2))


def textured(path: Path) -> Path:
    pictures = clips.moving(70, 160, 96)
    return clips.write_clip(
        path / "a.mp4", width=160, pictures=pictures, options={"bf": "3", "crf": "30", "b-pyramid": "normal"}
    )


def open_gop(path: Path) -> Path:
    pictures = clips.moving(70, 160, 96)
    options = {"x264-params": "open-gop=1:bframes=3:keyint=20:min-keyint=20:scenecut=0"}
    return clips.write_clip(path / "a.mp4", width=160, pictures=pictures, options=options)


def hevc(path: Path) -> Path:
    pictures = clips.moving(50, 160, 96)
    options = {"x265-params": "log-level=none:bframes=3:keyint=15:pools=1"}
    return clips.write_clip(path / "a.mp4", codec="libx265", width=160, pictures=pictures, options=options)


def vp9(path: Path) -> Path:
    options = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "10"}
    return clips.write_clip(
        path / "a.webm", codec="libvpx-vp9", options=options, sound=clips.tone(2, 48_000), sound_rate=48_000,
        sound_codec="libopus",
    )  # fmt: skip


def vp8(path: Path) -> Path:
    options = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "10"}
    return clips.write_clip(
        path / "a.webm", codec="libvpx", options=options, pictures=clips.moving(50, 128, 96)
    )


def matroska_b_frames(path: Path) -> Path:
    return clips.write_clip(path / "a.mkv", options={"bf": "3"}, pictures=clips.moving(60, 128, 96))


def transport_stream(path: Path) -> Path:  # first pts is not 0
    return clips.write_clip(path / "a.ts", options={"bf": "2"}, sound=clips.tone(2))


def avi_mpeg4(path: Path) -> Path:  # no pts in the file
    return clips.write_clip(path / "a.avi", codec="mpeg4", options={"bf": "2"})


def fragmented(path: Path) -> Path:
    movflags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return clips.write_clip(path / "a.mp4", container_options=movflags, sound=clips.tone(2))


def variable_rate(path: Path) -> Path:
    steps = np.random.default_rng(3).choice([17, 33, 120, 400], 50)
    return clips.write_clip(path / "a.mp4", pts=[int(at) for at in np.cumsum(steps)], options={"bf": "2"})


def edit_list(path: Path) -> Path:  # cuts 13 pictures (0.52 s) at the start and 7 at the end
    clip = clips.write_clip(path / "a.mp4", options={"bf": "2"}, sound=clips.tone(2))
    with av.open(str(clip)) as container:
        units = container.streams.video[0].time_base
        assert units is not None
        first = container.streams.video[0].index_entries
        assert len(first) == 50
        delay = round(0.08 / units)  # of two B-frames
    clips.patch_edit_list(clip, 30 / 25, delay + round(0.52 / units))
    return clip


def odd_size(path: Path) -> Path:
    return clips.write_clip(path / "a.mp4", width=131, height=97, pix_fmt="yuv444p")


def silent(path: Path) -> Path:
    return clips.write_clip(path / "a.mp4")


def one_frame(path: Path) -> Path:
    return clips.write_clip(path / "a.mp4", n=1)


def five_frames(path: Path) -> Path:
    return clips.write_clip(path / "a.mp4", n=5)


def sideways(path: Path) -> Path:
    clip = clips.write_clip(path / "a.mp4", options={"bf": "2"})
    clips.patch_matrix(clip, (0, 1, -1, 0))
    return clip


KINDS = [
    plain, textured, open_gop, hevc, vp9, vp8, matroska_b_frames, transport_stream, avi_mpeg4, fragmented,
    variable_rate, edit_list, odd_size, silent, one_frame, five_frames, sideways,
]  # fmt: skip


def sequential(path: Path, side: int) -> list[NDArray[np.uint8]]:
    """Every picture of a file, decoded one after another; quarter turns by FFmpeg's own angle."""
    pictures = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            scale = side / min(frame.width, frame.height)
            small = frame.reformat(
                round(frame.width * scale), round(frame.height * scale), "rgb24", interpolation=SCALER
            )
            pictures.append(np.rot90(small.to_ndarray(), frame.rotation // 90 % 4).astype(np.uint8))
    return pictures


@pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)
def test_frames_are_those_of_a_sequential_decode(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path)
    expected = sequential(path, 48)
    for count in (16, 3):
        clip = read_clip(str(path), frames=count, key_frames=5, side=48)
        assert clip.n_frames == len(expected)
        wanted = np.linspace(0, len(expected) - 1, count).round().astype(int)
        assert np.array_equal(clip.frames, np.stack([expected[index] for index in wanted]))
        assert min(clip.frames.shape[1:3]) == 48
        assert len(clip.key_frames) == len(clip.key_seconds) == 5
        assert clip.key_frames[0].shape == (clip.height, clip.width, 3)
        assert clip.key_seconds == sorted(clip.key_seconds)
        assert 0 <= clip.key_seconds[0] <= clip.key_seconds[-1] <= clip.seconds + 0.05
        assert clip.lost_packets == 0
    assert clip.content_sha == hashlib.sha256(path.read_bytes()).hexdigest()


def test_seeking_decodes_fewer_pictures_and_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = textured(tmp_path)
    by_seeking = read_clip(str(path), frames=4)
    monkeypatch.setattr("tikval.media.clip.take_by_seeking", lambda *_: False)
    assert np.array_equal(read_clip(str(path), frames=4).frames, by_seeking.frames)


HEVC = {  # how x265 may arrange which picture refers to which
    "closed groups": "bframes=3:keyint=30:open-gop=0",
    "pyramid": "bframes=4:b-pyramid=1:keyint=250",
    "no pyramid": "bframes=4:b-pyramid=0:keyint=250",
    "open groups": "bframes=8:b-adapt=2:keyint=20:open-gop=1",
    "two layers": "temporal-layers=1:bframes=3:keyint=30",
    "three layers": "temporal-layers=3:bframes=7:b-pyramid=1:keyint=250",
    "weights": "weightb=1:weightp=1:ref=5:bframes=5:keyint=50",
    "refreshed bit by bit": "intra-refresh=1:bframes=2",
    "leading pictures": "radl=2:bframes=3:keyint=20:open-gop=0",
    "slices": "slices=4:bframes=3:keyint=250:aud=1:repeat-headers=1",
    "no B-frames": "bframes=0:keyint=30",
}


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("kind", HEVC)
def test_hevc_pictures_that_none_refers_to_are_left_out_and_the_others_are_the_same(
    kind: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"preset": "veryfast", "x265-params": f"log-level=none:pools=1:{HEVC[kind]}"}
    path = clips.write_clip(
        tmp_path / f"a.{suffix}",
        codec="libx265",
        width=160,
        pictures=clips.moving(70, 160, 96),
        options=options,
    )
    expected = sequential(path, 96)
    spare: list[list[bool]] = []

    def by_seeking(*arguments: Any) -> bool:
        spare.append(arguments[2].spare)
        return take_by_seeking(*arguments)

    monkeypatch.setattr("tikval.media.clip.take_by_seeking", by_seeking)
    monkeypatch.setattr("tikval.media.clip._take_in_order", None)  # it must not be needed
    for count in (2, 5, 16):
        wanted = np.linspace(0, 69, count).round().astype(int)
        clip = read_clip(str(path), frames=count, side=96)
        assert np.array_equal(clip.frames, np.stack([expected[index] for index in wanted]))
    assert (sum(spare[0]) > 20) == (kind != "no B-frames")


def test_edit_list_cuts_pictures_and_sound(tmp_path: Path) -> None:
    clip = read_clip(str(edit_list(tmp_path)), frames=30)
    assert [clips.number_of(frame) for frame in clip.frames] == list(range(13, 43))
    assert clip.lost_packets == 0


def test_numbers_times_and_sound(tmp_path: Path) -> None:
    clip = read_clip(str(plain(tmp_path)), frames=6, key_frames=3)
    assert [clips.number_of(frame) for frame in clip.frames] == [0, 10, 20, 29, 39, 49]
    assert [clips.number_of(frame) for frame in clip.key_frames] == [0, 24, 49]
    assert clip.key_seconds == pytest.approx([0, 24 / 25, 49 / 25], abs=1e-3)
    assert clip.seconds == pytest.approx(2, abs=0.05)
    assert clip.sound is not None
    assert clip.sound.dtype == np.int16
    assert len(clip.sound) == pytest.approx(32_000, abs=1100)
    spectrum = np.abs(np.fft.rfft(clip.sound[8000:24_000].astype(float)))
    assert np.argmax(spectrum) == 440  # Hz: the window is one second


def test_sound_is_that_of_ffmpeg(tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg")
    path = plain(tmp_path)
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]
    expected = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.int16)
    sound = read_clip(str(path)).sound
    assert sound is not None
    n = min(len(sound), len(expected))
    assert abs(len(sound) - len(expected)) <= 1024
    assert np.abs(sound[:n].astype(int) - expected[:n]).max() <= 2


def test_late_sound_starts_late(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    source = plain(tmp_path)
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        streams = {s.index: writer.add_stream_from_template(s) for s in reader.streams}
        for packet in reader.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                assert packet.pts is not None
                assert packet.time_base is not None
                packet.pts += round(0.5 / packet.time_base)
                packet.dts += round(0.5 / packet.time_base)
            packet.stream = streams[packet.stream.index]
            writer.mux(packet)
    assert read_clip(str(path)).sound_start == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    "matrix",
    [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0)],
)
def test_turned_and_mirrored_as_ffmpeg_shows_it(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg")
    path = clips.write_clip(tmp_path / "a.mp4", n=1)
    clips.patch_matrix(path, matrix)
    clip = read_clip(str(path), key_frames=1)
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    shown = np.frombuffer(raw, np.uint8).reshape(clip.height, clip.width, 3)
    for row in range(4):
        for column in range(4):
            mine, theirs = clips.cell(clip.key_frames[0], row, column), clips.cell(shown, row, column)
            assert np.abs(mine - theirs).max() < 8
    turned = matrix[0] == 0
    assert (clip.width, clip.height) == ((96, 128) if turned else (128, 96))


def test_nothing_asked_for_is_nothing_kept(tmp_path: Path) -> None:
    clip = read_clip(str(plain(tmp_path)), frames=0, key_frames=0, sound=False)
    assert clip.frames.shape[0] == 0
    assert clip.key_frames == []
    assert clip.sound is None
    assert clip.has_sound
    assert not read_clip(str(silent(tmp_path)), frames=0, key_frames=0).has_sound


def reason_of(path: Path | str, **options: object) -> Reason:
    with pytest.raises(ClipError) as raised:
        read_clip(str(path), **options)  # type: ignore[arg-type]
    assert "/" not in raised.value.detail.replace(" / ", "")
    assert "\n" not in raised.value.detail
    return raised.value.reason


def test_what_is_no_video_says_so(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert reason_of(empty) == Reason.EMPTY_FILE
    page = tmp_path / "page.mp4"
    page.write_text("<!DOCTYPE html><html><body>Log in to watch this video</body></html>" * 50)
    assert reason_of(page) == Reason.UNREADABLE
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    assert reason_of(folder) == Reason.NOT_A_FILE
    fifo = tmp_path / "fifo.mp4"
    os.mkfifo(fifo)
    assert reason_of(fifo) == Reason.NOT_A_FILE
    assert reason_of(tmp_path / "gone.mp4") == Reason.MISSING_FILE
    assert reason_of(clips.write_sound_only(tmp_path / "sound.mp4")) == Reason.NO_VIDEO


def test_cover_picture_is_no_video(tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg")
    song = clips.write_sound_only(tmp_path / "song.m4a")
    covered = tmp_path / "covered.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", song, "-f", "lavfi", "-i", "color=red:s=64x64:d=0.04", "-map", "0",
         "-map", "1", "-frames:v", "1", "-c:a", "copy", "-c:v", "mjpeg", "-disposition:v:0", "attached_pic",
         "-strict", "-1", covered],
        check=True,
    )  # fmt: skip
    assert reason_of(covered) == Reason.NO_VIDEO


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission(tmp_path: Path) -> None:
    path = silent(tmp_path)
    path.chmod(0)
    assert reason_of(path) == Reason.PERMISSION_DENIED


def test_permission_error_of_the_system_has_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = silent(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    assert reason_of(path) == Reason.PERMISSION_DENIED


@pytest.mark.parametrize("kind", ["m3u8", "ffconcat", "dash", "sdp"])
def test_a_playlist_named_mp4_opens_nothing_else(kind: str, tmp_path: Path) -> None:
    other = clips.write_clip(tmp_path / "other.mp4")
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{other.name}\n#EXT-X-ENDLIST\n"
    text = {
        "m3u8": hls,
        "ffconcat": f"ffconcat version 1.0\nfile {other.name}\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    }[kind]
    path = tmp_path / "a.mp4"
    path.write_text(text)
    if kind == "ffconcat":  # FFmpeg's own default follows it
        with av.open(str(path)) as container:
            assert container.format.name == "concat"
    assert reason_of(path) == Reason.UNREADABLE


def test_limits(tmp_path: Path) -> None:
    path = plain(tmp_path)
    assert reason_of(path, limits=Limits(video_seconds=1)) == Reason.TOO_LONG
    assert reason_of(path, limits=Limits(frame_pixels=128 * 96 - 1)) == Reason.TOO_LARGE
    assert read_clip(str(path), limits=Limits(frame_pixels=128 * 96)).n_frames == 50
    with path.open("ab") as file:
        file.truncate(2**20 + 1)
    assert reason_of(path, limits=Limits(file_mb=1)) == Reason.TOO_LARGE
    ribbon = clips.write_clip(tmp_path / "ribbon.mp4", width=2112, height=32, n=1)
    assert reason_of(ribbon) == Reason.TOO_LARGE


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_truncated_reads_partly_and_counts_the_loss(suffix: str, tmp_path: Path) -> None:
    path = clips.write_clip(
        tmp_path / f"a.{suffix}", pictures=clips.moving(70, 160, 96), width=160, sound=clips.tone(2.8),
        container_options={"movflags": "faststart"} if suffix == "mp4" else {},
    )  # fmt: skip
    whole = read_clip(str(path))
    clips.truncate(path, 0.7)
    part = read_clip(str(path))
    assert 0.05 < part.lost_packets / part.total_packets < 0.6
    assert part.frames.shape == whole.frames.shape
    assert np.array_equal(part.frames[0], whole.frames[0])
    assert reason_of(path, max_lost_share=0.01) == Reason.DAMAGED


def test_index_at_the_end_and_cut_off_is_unreadable(tmp_path: Path) -> None:
    path = plain(tmp_path)
    clips.truncate(path, 0.5)
    assert reason_of(path) == Reason.UNREADABLE


def test_bit_rot_is_survived_and_counted(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "a.mp4", pictures=clips.moving(70, 160, 96), width=160, gop=10)
    clips.rot(path, 0.3)
    clip = read_clip(str(path), max_lost_share=1)
    assert clip.frames.shape == (16, 224, 373, 3)
    assert clip.lost_packets > 0


@pytest.mark.parametrize("write", [plain, transport_stream, vp9, avi_mpeg4], ids=lambda write: write.__name__)
def test_random_damage_is_read_or_refused(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    n_read = 0
    for turn in range(25):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), [1, 5, 50][turn % 3]):
            content[at] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(1, len(content))] if turn % 5 == 0 else content)
        try:
            n_read += read_clip(str(path), frames=4, side=32).frames.shape[0] == 4
        except ClipError:
            continue
    assert n_read >= 5


@pytest.mark.parametrize(
    "name", ['a b\'s "c" ü 视频 😀.mp4', "concat:a|b.mp4", "-i.mp4", "a%03d.mp4", "a\nb.mp4"]
)
def test_odd_names(name: str, tmp_path: Path) -> None:
    path = silent(tmp_path).rename(tmp_path / name)
    assert read_clip(str(path)).n_frames == 50


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4")
    silent(tmp_path).rename(path)
    assert read_clip(path).n_frames == 50


def test_scene_words() -> None:
    still = np.full((16, 398, 224, 3), 20, np.uint8)
    assert describe_scene(still, 576, 1024) == Scene("vertical", "dark", "still", 0)
    pictures = np.stack(clips.moving(16, 224, 224))
    assert describe_scene(pictures, 100, 100).motion in ("slow", "lively")
    assert describe_scene(pictures, 100, 100).orientation == "square"
    shots = np.repeat(np.array([10, 240, 30, 200], np.uint8), 4)[:, None, None, None]
    cut = describe_scene(np.broadcast_to(shots, (16, 224, 398, 3)), 1024, 576)
    assert (cut.orientation, cut.cuts, cut.motion) == ("horizontal", 3, "still")
    assert describe_scene(still[:1], 576, 1024).cuts == 0
