"""What this machine lets a process use."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tikval import machine
from tikval.machine import cores, private_folder

PREFIX = "ray-tikval-test-"


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/", {"sys/fs/cgroup/cpu.max": "150000 100000"}, 2),  # a container with a namespace of its own
        (
            "0::/a/b",
            {"sys/fs/cgroup/a/cpu.max": "300000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 100000"},
            3,
        ),
        ("0::/the/machine's", {"sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        (
            "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x",
            {
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            "4:cpu:/",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            8,
        ),
        ("0::/", {}, 8),
        ("0::/", {"sys/fs/cgroup/cpu.max": "6400000 100000"}, 8),
    ],
)
def test_cores_are_those_of_the_containers_quota(
    group: str, files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"proc/self/cgroup": group, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(machine, "_ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores() == expected


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR short enough for sockets."""
    place = Path(tempfile.mkdtemp(prefix="t"))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_a_private_folder_is_for_its_user_alone_and_goes_with_its_process(place: Path) -> None:
    code = (
        f"import tempfile; tempfile.tempdir = {str(place)!r}\n"
        "from tikval.machine import private_folder\n"
        f"made = private_folder({PREFIX!r}, 60)\n"
        "print(made, oct(made.stat().st_mode & 0o777))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    made, mode = done.stdout.split()
    assert Path(made).parent == place
    assert mode == "0o700"
    assert list(place.iterdir()) == []


def test_what_dead_processes_left_is_swept_and_links_are_not_followed(place: Path, tmp_path: Path) -> None:
    dead, alive, link = (place / f"{PREFIX}{name}" for name in ("dead", "alive", "link"))
    treasure = tmp_path / "treasure"
    for folder in (dead, alive, treasure):
        folder.mkdir()
        (folder / "file").touch()
    link.symlink_to(treasure)
    (dead / "inside").symlink_to(treasure)
    held = os.open(alive, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    mine = private_folder(PREFIX, 60)
    assert not dead.exists()
    assert (alive / "file").exists()
    assert link.is_symlink()
    assert (treasure / "file").exists()
    again = private_folder(PREFIX, 60)
    assert mine.is_dir()  # this process lives
    os.close(held)
    assert again.is_dir()


def test_a_temporary_folder_too_long_for_sockets_gives_way_to_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("l" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    made = private_folder(PREFIX, 66)
    assert made.parent == Path("/tmp")
    assert list(long.iterdir()) == []

    def unwritable(**_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", unwritable)
    with pytest.raises(OSError, match="set TMPDIR to a folder of at most"):
        private_folder(PREFIX, 66)
