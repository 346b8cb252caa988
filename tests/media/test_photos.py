"""Photo posts, read by the real worker: every picture's text, the sound, what is lost, and what is hostile."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.photos import SECRETS, WORDS, dressed_post, slide, write_slides, write_sound_of
from tests.fixtures.stores import FakeStore
from tikval.config import Limits
from tikval.media.child import Child
from tikval.media.fetch import StrippedVideos, read_video
from tikval.media.reading import ClipError, ClipReading, StrippedPost, Want
from tikval.rows import Reason
from tikval.script.compose import compose

FRAMES = Want(frames=6, sound=True, scene=True)


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with Child(Limits(seconds=120)) as running:
        yield running


def read(child: Child, *files: Path, want: Want = FRAMES) -> ClipReading:
    return child.read([str(file) for file in files], want)


def failure(child: Child, *files: Path, want: Want = FRAMES) -> ClipError:
    with pytest.raises(ClipError) as raised:
        read(child, *files, want=want)
    return raised.value


def colours(reading: ClipReading) -> list[list[int]]:
    """Of the middle of the upper edge of each frame."""
    assert reading.frames is not None
    return [frame[4, frame.shape[1] // 2].tolist() for frame in reading.frames]


def paint(path: Path, colour: str, size: tuple[int, int] = (300, 400)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def test_the_text_of_every_picture_is_read(child: Child, tmp_path: Path) -> None:
    words = [*WORDS, "OBEY THE LAW", "PRAY DAILY", "STAY HUMBLE", "WIN THE RACE"]
    reading = read(child, *write_slides(tmp_path, words), want=Want(ocr_frames=2))
    assert [caption.text for caption in reading.captions] == words
    assert [caption.first_seconds for caption in reading.captions] == [3.0 * n for n in range(7)]
    assert (reading.n_frames, reading.seconds, reading.has_sound) == (7, 21.0, False)


def test_pictures_that_differ_by_a_word_are_all_read(child: Child, tmp_path: Path) -> None:
    """What is the same word for word, a title or a mark, comes once."""
    words = [f"MY VALUES\n\n\n\n\nDAY {n} SAVE MONEY" for n in (1, 2, 3)]
    reading = read(child, *write_slides(tmp_path, words), want=Want(ocr_frames=1))
    assert [caption.text for caption in reading.captions] == [
        "MY VALUES",
        *(f"DAY {n} SAVE MONEY" for n in (1, 2, 3)),
    ]
    assert (reading.captions[0].first_seconds, reading.captions[0].last_seconds) == (0.0, 6.0)
    script = compose(reading, None, None).script
    assert script.count("SAVE MONEY") == 3


@pytest.mark.parametrize("suffix", [".mp3", ".m4a", ".ogg", ".wav", ".aac"])
def test_a_post_has_its_sound(child: Child, tmp_path: Path, suffix: str) -> None:
    pictures, sound = write_slides(tmp_path, WORDS[:2]), write_sound_of(tmp_path / f"a{suffix}", 7.5)
    reading = read(child, *pictures, sound)
    assert reading.has_sound
    assert reading.sound is not None
    assert len(reading.sound) == pytest.approx(7.5 * 16_000, abs=2500)
    assert np.abs(reading.sound).mean() > 1000
    assert reading.seconds == pytest.approx(7.5, abs=0.15)
    assert reading.lost_packets == 0
    short = read(child, *pictures, sound, want=Want())
    assert (short.seconds, short.content_sha, short.has_sound) == (reading.seconds, reading.content_sha, True)


def test_frames_are_spread_over_the_pictures_in_order(child: Child, tmp_path: Path) -> None:
    files = [paint(tmp_path / f"{n}.png", colour) for n, colour in enumerate(("red", "lime", "blue"))]
    reading = read(child, *files)
    assert colours(reading) == [[255, 0, 0]] * 2 + [[0, 255, 0]] * 2 + [[0, 0, 255]] * 2
    assert reading.frames is not None
    assert reading.frames.shape == (6, 298, 224, 3)
    assert (reading.width, reading.height) == (300, 400)
    assert reading.scene is not None
    assert (reading.scene.motion, reading.scene.cuts, reading.scene.orientation) == (
        "still",
        0,
        "vertical",
    )


def test_pictures_of_other_shapes_are_fitted_into_that_of_the_first(child: Child, tmp_path: Path) -> None:
    files = [paint(tmp_path / "1.png", "red"), paint(tmp_path / "2.png", "lime", (800, 200))]
    reading = read(child, *files, want=Want(frames=2))
    assert reading.frames is not None
    wide = reading.frames[1]
    assert wide[4, 100].tolist() == [0, 0, 0]
    assert wide[149, 100].tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    ("suffix", "mode", "how"),
    [
        (".jpg", "RGB", {"quality": 95}),
        (".jpg", "CMYK", {}),
        (".jpg", "L", {}),
        (".png", "P", {}),
        (".png", "RGBA", {}),
        (".png", "I;16", {}),
        (".webp", "RGB", {"lossless": True}),
        (".gif", "P", {}),
        (".avif", "RGB", {}),
    ],
)
def test_formats(child: Child, tmp_path: Path, suffix: str, mode: str, how: dict[str, object]) -> None:
    path = tmp_path / f"a{suffix}"
    if mode == "I;16":
        Image.fromarray(np.full((400, 300), 200 << 8, np.uint16)).save(path)
    else:
        Image.new("RGB", (300, 400), (200, 200, 200)).convert(mode).save(path, **how)  # type: ignore[arg-type]
    ((red, green, blue),) = colours(read(child, path, want=Want(frames=1)))
    assert abs(red - 200) < 12
    assert abs(green - 200) < 12
    assert abs(blue - 200) < 12


def test_what_is_transparent_is_white(child: Child, tmp_path: Path) -> None:
    Image.new("RGBA", (300, 400), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert colours(read(child, tmp_path / "a.png", want=Want(frames=1))) == [[255, 255, 255]]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_of_an_animation_the_first_picture_counts(child: Child, tmp_path: Path, suffix: str) -> None:
    first, second = (Image.new("RGB", (300, 400), colour) for colour in ("red", "blue"))
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=[second], duration=100)
    ((red, _, blue),) = colours(read(child, tmp_path / f"a{suffix}", want=Want(frames=1)))
    assert red > 240
    assert blue < 15


def test_a_picture_is_turned_as_its_exif_says(child: Child, tmp_path: Path) -> None:
    upright = slide("HELP FAMILY", (600, 900))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show it
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.jpg", exif=exif)
    reading = read(child, tmp_path / "a.jpg", want=Want(ocr_frames=1))
    assert (reading.width, reading.height) == (600, 900)
    assert [caption.text for caption in reading.captions] == ["HELP FAMILY"]


def test_one_unreadable_picture_of_five_is_counted(child: Child, tmp_path: Path) -> None:
    files = [
        paint(tmp_path / f"{n}.png", colour)
        for n, colour in enumerate(("red", "lime", "blue", "white", "red"))
    ]
    for broken in (b"", b"no picture", files[1].read_bytes()[:60]):
        files[1].write_bytes(broken)
        reading = read(child, *files, want=Want(frames=5, ocr_frames=1))
        assert (reading.lost_packets, reading.total_packets, reading.n_frames) == (1, 5, 5)
        assert colours(reading)[:3] == [[255, 0, 0], [255, 0, 0], [0, 0, 255]]
    files[0].write_bytes(b"")
    assert colours(read(child, *files))[0] == [0, 0, 255]  # the first that there is
    files[2].write_bytes(b"")
    assert failure(child, *files).reason is Reason.DAMAGED
    for file in files:
        file.write_bytes(b"no picture")
    err = failure(child, *files)
    assert err.reason is Reason.UNREADABLE
    assert "none of 5 pictures" in err.detail


def test_a_sound_that_cannot_be_read_is_lost_and_the_pictures_stay(child: Child, tmp_path: Path) -> None:
    (picture,) = write_slides(tmp_path, WORDS[:1])
    for broken in (b"", b"no sound at all" * 99, b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"):
        (tmp_path / "a.mp3").write_bytes(broken)
        reading = read(child, picture, tmp_path / "a.mp3")
        assert (reading.has_sound, reading.sound, reading.lost_packets) == (False, None, 1)
        assert reading.seconds == 3.0


def test_a_heic_picture_is_named(child: Child, tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    assert "HEIC" in failure(child, tmp_path / "a.heic").detail


def test_a_file_that_is_gone_is_missing(child: Child, tmp_path: Path) -> None:
    (picture,) = write_slides(tmp_path, WORDS[:1])
    assert failure(child, picture, tmp_path / "gone.jpg").reason is Reason.MISSING_FILE
    assert failure(child, picture, tmp_path).reason is Reason.NOT_A_FILE


def test_pictures_of_absurd_size_are_refused_before_they_are_decoded(child: Child, tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for width, height in ((30_000, 30_000), (2**30, 1), (5000, 5000)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        body = chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
        assert failure(child, tmp_path / "bomb.png").reason is Reason.TOO_LARGE


def test_too_many_pictures_and_too_many_bytes_are_refused(child: Child, tmp_path: Path) -> None:
    path = paint(tmp_path / "a.png", "red", (64, 64))
    assert read(child, *[path] * 35).n_frames == 35
    err = failure(child, *[path] * 36)
    assert (err.reason, err.detail) == (Reason.TOO_LARGE, "36 pictures, allowed are 35")
    with (tmp_path / "big.jpg").open("wb") as file:
        file.truncate(2 * 2**20)
    with Child(Limits(seconds=60, file_mb=1)) as small, pytest.raises(ClipError, match="2 MB, allowed are 1"):
        small.read([str(path), str(tmp_path / "big.jpg")], Want())


def test_a_sound_that_goes_on_for_ever_is_refused(tmp_path: Path) -> None:
    (picture,) = write_slides(tmp_path, WORDS[:1])
    sound = write_sound_of(tmp_path / "a.wav", 9)
    with Child(Limits(seconds=60, video_seconds=5)) as child:
        assert failure(child, picture, sound).reason is Reason.TOO_LONG


def test_garbled_pictures_never_stop_the_worker(child: Child, tmp_path: Path) -> None:
    dice = np.random.default_rng(3)
    for suffix in (".jpg", ".png", ".webp", ".gif", ".avif"):
        slide("WORDS", (200, 300)).save(tmp_path / f"whole{suffix}")
        whole = np.frombuffer((tmp_path / f"whole{suffix}").read_bytes(), np.uint8)
        for n in range(12):
            data = whole.copy()
            data[dice.integers(0, len(data), 8)] = dice.integers(0, 256, 8)
            path = tmp_path / f"{n}{suffix}"
            path.write_bytes(data.tobytes()[: int(dice.integers(20, len(data)))])
            try:
                read(child, tmp_path / f"whole{suffix}", path)
            except ClipError as err:
                assert err.reason in (Reason.UNREADABLE, Reason.TOO_LARGE, Reason.DAMAGED)  # noqa: PT017


def test_the_hash_is_that_of_all_files_in_order(child: Child, tmp_path: Path) -> None:
    one, other = paint(tmp_path / "1.png", "red"), paint(tmp_path / "2.png", "blue")
    sound = write_sound_of(tmp_path / "a.mp3")
    posts = [(one, other), (other, one), (one,), (one, other, sound), (one, one)]
    assert len({read(child, *files, want=Want()).content_sha for files in posts}) == len(posts)
    assert read(child, one, other, want=Want()).content_sha == read(child, one, other).content_sha


def test_what_is_sent_of_a_post_says_nothing_about_it(child: Child, tmp_path: Path) -> None:
    files = dressed_post(tmp_path)
    with StrippedVideos(Limits(seconds=60))(files, None) as sent:
        assert isinstance(sent, StrippedPost)
        assert len(sent.pictures) == 3
        assert sent.sound is not None
        assert not [part for part in (*sent.pictures, sent.sound) if any(s in part for s in SECRETS)]
        assert sent.content_sha == child.read(files, Want()).content_sha
        kept = []
        for n, data in enumerate(sent.pictures):
            (tmp_path / f"sent{n}.jpg").write_bytes(data)
            with Image.open(tmp_path / f"sent{n}.jpg") as picture:
                assert picture.size == (720, 1280)
                assert not picture.getexif()
                assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
            kept.append(tmp_path / f"sent{n}.jpg")
        (tmp_path / "sent.flac").write_bytes(sent.sound)
        again = read(child, *kept, tmp_path / "sent.flac", want=Want(sound=True, ocr_frames=1))
        assert [caption.text for caption in again.captions] == list(WORDS)
        assert again.sound is not None
        assert len(again.sound) == pytest.approx(2 * 16_000, abs=2500)


def test_what_is_sent_is_what_was_read(tmp_path: Path) -> None:
    files = [str(path) for path in write_slides(tmp_path)]
    with (
        pytest.raises(ClipError, match="another file lies there") as raised,
        StrippedVideos(Limits(seconds=60))(files, "0" * 64),
    ):
        pass
    assert raised.value.reason is Reason.MISSING_FILE


def test_large_pictures_are_sent_smaller(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3000, 2000, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.jpg", quality=80)
    with StrippedVideos(Limits(seconds=120))([str(tmp_path / "1.jpg")] * 12, None) as sent:
        assert isinstance(sent, StrippedPost)
        assert len(sent.pictures) == 12
        assert sum(map(len, sent.pictures)) <= 10 * 2**20


def test_a_post_in_a_store_is_read_and_its_copies_are_deleted(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    names = write_slides(tmp_path, WORDS[:2])
    store = FakeStore({f"bucket/{path.name}": path.read_bytes() for path in names})
    monkeypatch.setattr("tikval.media.fetch.filesystem", store.filesystem)
    files = [f"s3://bucket/{path.name}" for path in names]
    reading = read_video(child, files, Want(ocr_frames=1))
    assert [caption.text for caption in reading.captions] == list(WORDS[:2])
    assert not [path for path in scratch.rglob("*") if path.is_file()]
    size = sum(len(data) for data in store.objects.values())
    with Child(Limits(seconds=60, file_mb=1)) as small:
        store.objects = {name: data + bytes(2**20 - len(data)) for name, data in store.objects.items()}
        assert size < 2**20
        with pytest.raises(ClipError, match="allowed are 1"):
            read_video(small, files, Want())
