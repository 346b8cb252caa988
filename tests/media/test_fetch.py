"""Objects of a store on their way to a child: their size, their time, and what a fault says of the video."""

import errno
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import clips
from tests.fixtures.stores import FakeStore
from tikval.config import Limits
from tikval.machine import ScratchFolder
from tikval.media import fetch
from tikval.media.child import Child
from tikval.media.fetch import StrippedVideos, local_copy, read_video
from tikval.media.reading import ClipError, Want
from tikval.rows import Reason

Store = Callable[..., FakeStore]
CLIP = "s3://bucket/clip.mp4"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Make a store with one clip in it, and a folder for temporary files of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def make(**how: Any) -> FakeStore:
        data = clips.write_clip(tmp_path / "clip.mp4", n=10).read_bytes()
        made = FakeStore({"bucket/clip.mp4": data}, **how)
        monkeypatch.setattr(fetch, "filesystem", made.filesystem)
        return made

    return make


def failure(path: str, limits: Limits) -> ClipError:
    with Child(limits) as child, pytest.raises(ClipError) as raised:
        read_video(child, path, Want())
    return raised.value


def leftovers(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]


def test_an_object_is_read_and_sent_and_its_copies_are_deleted(store: Store, tmp_path: Path) -> None:
    store()
    with Child(Limits(seconds=60)) as child:
        assert read_video(child, CLIP, Want()).n_frames == 10
    with StrippedVideos(Limits(seconds=60))(CLIP, None) as sent:
        assert leftovers(tmp_path) == [Path(str(sent))]
    assert not leftovers(tmp_path)


def test_what_is_too_large_is_refused_before_a_byte_is_read(store: Store, tmp_path: Path) -> None:
    there = store(sizes={"bucket/clip.mp4": 2 * 2**20})
    found = failure(CLIP, Limits(file_mb=1))
    assert (found.reason, found.detail) == (Reason.TOO_LARGE, "2 MB, allowed are 1")
    assert not there.opened
    local = tmp_path / "large.mp4"
    local.write_bytes(bytes(2 * 2**20))
    assert failure(str(local), Limits(file_mb=1)).detail == found.detail, "as of a local file"


def test_an_object_that_grows_is_copied_up_to_the_limit(store: Store, tmp_path: Path) -> None:
    there = store(sizes={"bucket/clip.mp4": 1000})
    there.objects["bucket/clip.mp4"] = bytes(20 * 2**20)
    assert failure(CLIP, Limits(file_mb=2)).reason == Reason.TOO_LARGE
    assert there.given <= 4 * 2**20
    assert not leftovers(tmp_path)


def test_a_store_that_says_nothing_more_is_a_timeout(store: Store, tmp_path: Path) -> None:
    store(delay=30)
    begin = time.monotonic()
    found = failure(CLIP, Limits(seconds=0.5))
    assert (found.reason, found.reason.terminal) == (Reason.TIMEOUT, False)
    assert time.monotonic() - begin < 5
    assert not leftovers(tmp_path)


def test_download_and_reading_share_one_deadline(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    there = store(delay=0.2)
    left: list[float] = []

    def read(self: Child, path: str, want: Want, seconds: float) -> None:
        left.append(seconds)

    monkeypatch.setattr(Child, "read", read)
    read_video(Child(Limits(seconds=10)), CLIP, Want())
    assert there.given
    assert 0 < left[0] <= 10 - 2 * 0.2  # two reads: the data and the end


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (OSError("AWS Error SLOW_DOWN during HeadObject operation: HTTP response code 503"), "server_error"),
        (OSError("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7"), "server_error"),
        (TimeoutError("request timed out"), "server_error"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "server_error"),
        (
            OSError("AWS Error ACCESS_DENIED during HeadObject operation: No response body."),
            "permission_denied",
        ),
        (PermissionError(errno.EACCES, "no"), "permission_denied"),
        (OSError("AWS Error NO_SUCH_BUCKET during HeadObject operation"), "missing_file"),
        (FileNotFoundError(errno.ENOENT, "no"), "missing_file"),
    ],
)
def test_a_stores_fault_is_no_missing_file(fault: OSError, reason: str, store: Store) -> None:
    store(fault=fault)
    found = failure(CLIP, Limits())
    assert found.reason == reason
    assert not found.reason.terminal
    assert "\n" not in found.detail


def test_what_is_not_there_is_missing(store: Store, tmp_path: Path) -> None:
    store()
    assert failure("s3://bucket/none.mp4", Limits()).reason == Reason.MISSING_FILE
    assert failure("s3://bucket", Limits()).reason == Reason.NOT_A_FILE
    assert failure(str(tmp_path / "none.mp4"), Limits(seconds=60)).reason == Reason.MISSING_FILE


# this machine's own faults


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_no_missing_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store()

    class FullFolder(ScratchFolder):
        def __init__(self) -> None:
            super().__init__()
            for name in ("video.mp4", "video"):
                (Path(self.path) / name).symlink_to("/dev/full")

    monkeypatch.setattr(fetch, "ScratchFolder", FullFolder)
    with pytest.raises(ClipError) as raised, local_copy(CLIP, Limits()):
        pass
    assert (raised.value.reason, raised.value.reason.terminal) == (Reason.NO_SPACE, False)
    with (
        pytest.raises(ClipError) as raised,
        StrippedVideos(Limits(seconds=60))(str(tmp_path / "clip.mp4"), None),
    ):
        pass
    assert raised.value.reason == Reason.NO_SPACE
    assert Path("/dev/full").is_char_device()


def test_no_room_for_a_temporary_folder(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store()

    def full(**_: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    assert failure(CLIP, Limits()).reason == Reason.NO_SPACE


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EAGAIN])
def test_a_failed_spawn_is_no_missing_file(
    number: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store()

    def no_process(*_: Any, **__: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    found = failure(CLIP, Limits())
    assert (found.reason, found.reason.terminal) == (Reason.NO_PROCESS, False)
