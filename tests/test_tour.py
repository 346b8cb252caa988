"""An attacker's tour: one folder with every hostile input at once, through `tikval analyze` to a finished report.

It runs in a network of its own, where a listener counts who connects. Counted are rows, sockets, files touched and what
is left behind.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.broken import write_broken
from tests.fixtures.clips import write_clip
from tests.fixtures.mutations import without_media
from tests.fixtures.namespace import Namespace, available
from tests.fixtures.tricks import movies, texts
from tikval.hub.bundled import cached_folder
from tikval.media.isolation import isolation_text, kernel_isolation
from tikval.sources.catalog import list_videos
from tikval.store.runs import Study

pytestmark = [
    pytest.mark.ray,
    pytest.mark.local_models,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare: no network of its own"),
    pytest.mark.skipif(
        cached_folder() is None, reason="the text encoder is not here: python -m tikval.hub.bundled"
    ),
]

SECRET = "CANARY-7f3a9c"
HANDLE = "zz_kid"
LISTEN = """
import socket, sys
server = socket.create_server(("127.0.0.1", 8098), backlog=64)
print("ready", flush=True)
while True:
    server.accept()[0].close()
    open(sys.argv[1], "a").write("somebody asked")
"""
SETS = (
    "scores.predictions.0.scripts.writer.ocr.frames=1",
    "scores.predictions.0.scripts.writer.speech.engine=none",
    "max_failed_share=1",
    "scores.max_failed_share=1",
    "scores.predictions.0.max_failed_share=1",
    "scores.predictions.0.scripts.max_failed_share=1",
    "scores.predictions.0.scripts.videos.max_failed_share=1",
)
# modules that tikval, Ray and their workers import; one beside the videos must not be taken for them
SHADOWS = (
    *("click", "json", "numpy", "pyarrow", "pydantic", "random", "ray"),
    *("sitecustomize", "tikval", "typer", "typing", "yaml"),
)


def write_hostile(root: Path) -> dict[str, str | None]:
    """Everything at once in `root`; the reasons of the files whose reason is known."""
    videos = root / "videos"
    reasons = write_broken(videos)
    canary = root / "canary.mp4"
    movie = without_media(write_clip(canary).read_bytes())
    for place, target in enumerate(
        ("http://127.0.0.1:8098/x.mp4", str(canary), str(root / "home" / "secret.txt"))
    ):
        kinds = {**{kind: text.encode() for kind, text in texts(target).items()}, **movies(movie, target)}
        for kind, content in list(kinds.items())[place::3]:
            (videos / f"{kind}.mp4").write_bytes(content)
    (videos / "loop.mp4").symlink_to(videos / "loop.mp4")
    (videos / "round").symlink_to(videos)
    os.mkfifo(videos / "fifo.mp4")
    for name in (
        "\x1b[31mred\x1b]0;title\x07",
        "=cmd|' C calc'!A0",
        "\uff1d1+1",
        "[link=http:x]y[bold]",
        "-rf",
        "a\nb",
    ):
        write_clip(videos / f"{name}.mp4")
    write_clip(videos / f"@{HANDLE}_video_7412345678901234567.mp4")
    (root / "home" / ".ssh").mkdir(parents=True)
    (root / "home" / ".ssh" / "id_ed25519").write_text(SECRET)
    (root / "home" / "secret.txt").write_text(SECRET)
    work = root / "work"
    work.mkdir()
    for name in SHADOWS:
        (work / f"{name}.py").write_text(f"open({str(root / 'shadowed')!r}, 'a').write('{name} ')\n")
    (root / "accounts.csv").write_text(
        f"account,is_minor,genre\n@{HANDLE.upper()}\u200b,yes,=1+1\n\x1b[2Jann,no,\n"
    )
    labels = (
        "video_id,account,face\n7412345678901234567,@Zz_Kid,1\ngood,\x1b[2Jann,-1\n=cmd|' C calc'!A0,ann,1\n"
    )
    (root / "labels.csv").write_text(labels)
    (root / "tmp").mkdir()
    return reasons


def touched(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file outside the study and the user's cache, where fonts are listed."""
    found = {}
    for parent, folders, files in os.walk(root):
        folders[:] = [
            name for name in folders if Path(parent, name) not in (root / "out", root / "home" / ".cache")
        ]
        for name in files:
            status = os.lstat(Path(parent, name))
            found[str(Path(parent, name))] = (status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture
def inside() -> Iterator[Namespace]:
    assert available(), "unshare is here, and makes no network of its own"
    with Namespace() as namespace:
        yield namespace


def listening(process: int) -> set[str]:
    """Addresses that anybody in the network of `process` listens on beyond loopback."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            local, _, state = line.split()[1:4]
            address = local.rpartition(":")[0]
            if state == "0A" and not address.endswith(("0100007F", "00000000000000000000000001000000")):
                found.add(local)
    return found


def test_everything_hostile_at_once(tmp_path: Path, inside: Namespace) -> None:
    reasons = write_hostile(tmp_path)
    before = touched(tmp_path)
    expected = list(list_videos(str(tmp_path / "videos")))
    listener = inside.start([sys.executable, "-c", LISTEN, str(tmp_path / "asked")])
    assert listener.stdout is not None
    assert listener.stdout.readline() == "ready\n"
    words = [
        str(Path(sys.executable).with_name("tikval")),
        "analyze",
        str(tmp_path / "videos"),
        "--out",
        str(tmp_path / "out"),
    ]
    words += ["--accounts", str(tmp_path / "accounts.csv"), "--annotations", str(tmp_path / "labels.csv")]
    words += [word for setting in SETS for word in ("--set", setting)]
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "A_TOKEN": SECRET}
    process = subprocess.Popen(
        [*inside.enter, f"--wd={tmp_path / 'work'}", *words],
        env={**inside.environment, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    (first,) = Path(f"/proc/{inside.first.pid}/task/{inside.first.pid}/children").read_text().split()
    beyond: set[str] = set()
    while process.poll() is None:
        beyond |= listening(int(first))
        time.sleep(0.2)
    assert process.stdout is not None
    shown = process.stdout.read()
    assert process.returncode == 0, shown[-3000:]

    # rows: every file once in every table, the sound ones read, the others with their reason
    study = Study(str(tmp_path / "out"))
    for stage in ("catalog", "scripts", "predictions"):
        latest = study.latest(stage)
        assert latest is not None
        rows = latest[0].read().to_pylist()
        assert sorted(row["row_key"] for row in rows) == sorted(row["row_key"] for row in expected)
    scripts = study.latest("scripts")
    assert scripts is not None
    found = {
        row["video_id"]: row["error"]
        for row in scripts[0].read().to_pylist()
        if row["error"] != "duplicate_id"
    }
    assert {name: found[name] for name in reasons if "later" not in name} == {
        name: reason for name, reason in reasons.items() if "later" not in name
    }
    assert found["7412345678901234567"] is None
    assert found["fifo"] == "not_a_file"
    assert found["loop"] == "missing_file"
    failed = sum(error is not None for error in found.values())
    assert failed > 20, "the tricks are read as what they are not"

    # sockets, files, leftovers
    assert beyond == set(), "listens beyond loopback"
    assert not (tmp_path / "asked").exists(), "somebody followed an address in a file"
    assert touched(tmp_path) == before, "files outside the study were touched"
    assert not (tmp_path / "shadowed").exists(), "a module beside the videos was imported"
    assert list((tmp_path / "tmp").iterdir()) == []
    names = {(place / "cmdline").read_text() for place in Path("/proc").iterdir() if place.name.isdecimal()}
    assert not [name for name in names if str(tmp_path) in name and "create_server" not in name]

    # nothing of a stranger's in what people open
    assert "\x1b" not in shown
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            assert file.stat().st_mode & 0o077 == 0, f"others may read {file}"
            content = file.read_bytes()
            assert SECRET.encode() not in content, file
            if "report-" in str(file):
                assert HANDLE.encode() not in content.lower(), file
    config = next(run for _, run in study.runs if run.stage == "report")
    page = Path(f"{tmp_path}/out/report-{config.fingerprint}/index.html").read_text()
    assert isolation_text(kernel_isolation()) in page
    print(json.dumps({"rows": len(expected), "failed": failed, "isolation": list(kernel_isolation())}))
