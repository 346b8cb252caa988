"""Folders for temporary files: they go with their process, and with the next one where it was killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tikval.machine import ScratchFolder, sweep

OWNER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from pathlib import Path
from tikval.machine import ScratchFolder
folder = ScratchFolder()
(Path(folder.path) / "large").write_bytes(bytes(1000))
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


@pytest.fixture
def owner(place: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process with a folder."""
    command = [sys.executable, "-c", OWNER, str(place)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


def test_a_folder_is_ours_alone_and_goes_with_its_object(place: Path) -> None:
    with ScratchFolder() as folder:
        (Path(folder.path) / "below").mkdir()
        assert Path(folder.path).parent == place
        assert Path(folder.path).stat().st_mode & 0o777 == 0o700
        sweep(str(place))
        assert Path(folder.path).exists(), "it is in use"
    assert not list(place.iterdir())


def test_a_folder_goes_with_its_process(owner: tuple["subprocess.Popen[str]", Path]) -> None:
    process, folder = owner
    assert folder.is_dir()
    process.communicate("")
    assert not folder.exists()


def test_a_killed_process_folder_is_swept_by_the_next(
    owner: tuple["subprocess.Popen[str]", Path], place: Path
) -> None:
    process, folder = owner
    sweep(str(place))
    assert (folder / "large").exists(), "its process lives"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "large").exists()
    with ScratchFolder() as next_one:  # the first of this process in this place
        assert list(place.iterdir()) == [Path(next_one.path)]


def test_sweeping_follows_no_link_and_touches_nothing_else(place: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    (place / "tikval-tmp-link").symlink_to(tmp_path / "mine")
    (place / "tikval-tmp-file").write_text("no folder")
    (place / "other").mkdir()
    dead = place / "tikval-tmp-dead"
    dead.mkdir()
    (dead / "inner").symlink_to(tmp_path / "mine")
    sweep(str(place))
    assert not dead.exists()
    assert (tmp_path / "mine" / "file").read_text() == "mine"
    assert sorted(path.name for path in place.iterdir()) == ["other", "tikval-tmp-file", "tikval-tmp-link"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_stays(place: Path) -> None:
    (place / "tikval-tmp-theirs").mkdir()
    os.chown(place / "tikval-tmp-theirs", 12345, 12345)
    sweep(str(place))
    assert (place / "tikval-tmp-theirs").exists()
