"""The caller's side against workers that hang, eat memory, die and lie; and the real worker on real files."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.fixtures import clips
from tikval.config import Limits
from tikval.media import wire
from tikval.media.child import Child, check_tools
from tikval.media.clip import read_clip
from tikval.media.reading import ClipError, ClipReading, MissingTool, Scene, Want
from tikval.rows import Reason

# Does what the name of the "video" tells it. argv: a folder for its own notes, then what Child adds.
FAKE = """
    import json, os, signal, struct, subprocess, sys, time
    notes = sys.argv[1]
    open(f"{notes}/{os.getpid()}", "w").close()
    FACTS = {"seconds": 1.5, "width": 224, "height": 224, "n_frames": 9, "photos": 0, "has_sound": False,
             "lost_packets": 0, "total_packets": 9, "content_sha": "00", "captions": [], "speech": [], "scene": None,
             "frames": None, "sound": None, "sound_track": 1, "sound_tracks": 1, "sound_language": ""}
    def send(header, payload=b""):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        os.write(1, struct.pack(">I", len(text)) + text + payload)
    send({"ready": True})
    while True:
        (length,) = struct.unpack(">I", sys.stdin.buffer.read(4))
        request = json.loads(sys.stdin.buffer.read(length))
        what = os.path.basename(request["path"])
        if what == "hang":
            subprocess.Popen(["sleep", "1000"])
            time.sleep(1000)
        elif what == "babble":
            while True: os.write(2, b"x" * 4096)
        elif what == "eat":
            kept = []
            while True: kept.append(b"x" * 2**20)
        elif what == "feed":
            subprocess.Popen([sys.executable, "-c", "k = b'x' * 600 * 2**20; import time; time.sleep(1000)"])
            time.sleep(1000)
        elif what == "die": os.kill(os.getpid(), signal.SIGSEGV)
        elif what == "exit": sys.exit(3)
        elif what == "die once":
            if os.path.exists(f"{notes}/died"): send(FACTS)
            else:
                open(f"{notes}/died", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
        elif what == "giant header": os.write(1, struct.pack(">I", 2**32 - 1))
        elif what == "giant frames": send(FACTS | {"frames": [10**6, 224, 224]})
        elif what == "giant sound": send(FACTS | {"sound": 10**12})
        elif what == "unasked sound": send(FACTS | {"sound": 100}, bytes(200))
        elif what == "page": os.write(1, b"<!DOCTYPE html><html>" * 99)
        elif what == "deep": send(b"[" * 100000)
        elif what == "nan": send(json.dumps(FACTS | {"seconds": float("nan")}).encode())
        elif what == "negative": send(FACTS | {"width": -1})
        elif what == "truth": send(FACTS | {"n_frames": True})
        elif what == "extra": send(FACTS | {"extra": 1})
        elif what == "caption": send(FACTS | {"captions": [{"text": 7, "first_seconds": 0, "last_seconds": 0}]})
        elif what == "reason": send({"error": "no such reason", "detail": ""})
        elif what == "control":
            text = "a\\x1b[31mb\\ud800c"
            send(FACTS | {"captions": [{"text": text, "first_seconds": 0, "last_seconds": 1}]})
        elif what == "environment": send({"error": "damaged", "detail": " ".join(sorted(os.environ))})
        elif what == "folder": send({"error": "damaged", "detail": os.environ["TMPDIR"] + " " + os.getcwd()})
        else: send(FACTS)
"""
LIMITS = Limits(seconds=3, memory_mb=300)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


@pytest.fixture
def fake(tmp_path: Path, notes: Path) -> Iterator[Child]:
    script = tmp_path / "fake.py"
    script.write_text(textwrap.dedent(FAKE))
    with Child(LIMITS, command=(sys.executable, str(script), str(notes)), files=50) as child:
        yield child


def failure(child: Child, name: str, want: Want | None = None) -> ClipError:
    with pytest.raises(ClipError) as raised:
        child.read(name, want or Want())
    return raised.value


def started(notes: Path) -> list[int]:
    return [int(note.name) for note in notes.iterdir() if note.name.isdigit()]


def alive(pids: list[int]) -> list[int]:
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]


def test_one_worker_serves_many_files(fake: Child, notes: Path) -> None:
    for index in range(5):
        assert fake.read(f"clip {index}", Want()).seconds == 1.5
    assert len(started(notes)) == 1


def test_worker_is_replaced_after_so_many_files(tmp_path: Path, fake: Child, notes: Path) -> None:
    fake._files = 2
    for index in range(5):
        fake.read(f"clip {index}", Want())
    assert len(started(notes)) == 3
    fake.close()
    assert alive(started(notes)) == []


def test_hang_is_a_timeout_and_leaves_nothing(tmp_path: Path, notes: Path, fake: Child) -> None:
    fake.read("clip", Want())
    (worker,) = started(notes)
    seen: list[int] = []
    watch = threading.Timer(1, lambda: seen.extend(p.pid for p in psutil.Process(worker).children()))
    watch.start()
    begun = time.monotonic()
    assert failure(fake, "hang").reason == Reason.TIMEOUT
    assert 3 <= time.monotonic() - begun < 4
    assert len(seen) == 1
    time.sleep(0.1)
    assert alive([worker, *seen]) == []
    assert fake.read("clip", Want()).n_frames == 9


@pytest.mark.parametrize("name", ["eat", "feed"])
def test_memory_of_the_worker_and_its_children_is_bounded(name: str, fake: Child) -> None:
    assert failure(fake, name).reason == Reason.OUT_OF_MEMORY
    assert fake.read("clip", Want()).n_frames == 9


def test_babbling_worker_does_not_outlive_the_deadline(fake: Child) -> None:
    assert failure(fake, "babble").reason == Reason.TIMEOUT


@pytest.mark.parametrize(("name", "how"), [("die", "SIGSEGV"), ("exit", "code 3")])
def test_worker_that_dies_twice_is_a_crash(name: str, how: str, fake: Child, notes: Path) -> None:
    error = failure(fake, name)
    assert error.reason == Reason.CRASHED
    assert how in error.detail
    assert len(started(notes)) == 2
    assert fake.read("clip", Want()).n_frames == 9


def test_stray_kill_costs_nothing(fake: Child, notes: Path) -> None:
    assert fake.read("die once", Want()).n_frames == 9
    assert len(started(notes)) == 2


@pytest.mark.parametrize(
    "name",
    ["giant header", "giant frames", "giant sound", "unasked sound", "page", "deep", "nan", "negative", "truth",
     "extra", "caption", "reason"],
)  # fmt: skip
def test_garbage_is_a_crash(name: str, fake: Child) -> None:
    assert failure(fake, name).reason == Reason.CRASHED
    assert fake.read("clip", Want()).n_frames == 9


def test_missing_frames_are_garbage(fake: Child) -> None:
    assert failure(fake, "clip", Want(frames=4)).reason == Reason.CRASHED


def test_control_characters_do_not_pass(fake: Child) -> None:
    assert fake.read("control", Want()).captions[0].text == "a [31mb c"


def test_no_secrets_and_a_folder_of_its_own(fake: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    names = failure(fake, "environment").detail.split()
    assert "GEMINI_API_KEY" not in names
    assert "PATH" in names
    folder, working = failure(fake, "folder").detail.split()
    assert Path(folder).is_dir()
    assert Path(working).samefile(folder)
    fake.close()
    assert not Path(folder).exists()


def test_a_worker_that_is_started_ahead_is_the_one_that_reads(fake: Child, notes: Path) -> None:
    fake.start_soon()
    fake.start_soon()
    fake.read("clip", Want())
    assert len(started(notes)) == 1


def test_what_cannot_be_started_ahead_is_told_by_the_first_video(tmp_path: Path) -> None:
    child = Child(Limits(), command=(sys.executable, "-c", "raise SystemExit('no such library')"))
    child.start_soon()
    with pytest.raises(RuntimeError, match="no such library"):
        child.read("clip", Want())


def test_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise ImportError('no module named nonsense')")
    with (
        Child(LIMITS, command=(sys.executable, str(script))) as child,
        pytest.raises(RuntimeError, match="no module named nonsense"),
    ):
        child.read("clip", Want())


@pytest.mark.parametrize("hold_interpreter", [False, True])
def test_nothing_outlives_a_killed_parent(tmp_path: Path, hold_interpreter: bool) -> None:
    """The worker hangs in a C call, which may even hold the interpreter's lock, with a child of its own."""
    worker = tmp_path / "worker.py"
    library = "PyDLL" if hold_interpreter else "CDLL"
    worker.write_text(
        textwrap.dedent(f"""
        import ctypes, os, subprocess, sys
        from tikval.media.worker import die_with_parent
        die_with_parent(int(sys.argv[2]), int(sys.argv[3]))
        grandchild = subprocess.Popen(["sleep", "1000"])
        with open(sys.argv[1], "w") as file:
            file.write(f"{{os.getpid()}} {{grandchild.pid}}")
        ctypes.{library}(None).sleep(1000)
        """)
    )
    parent = tmp_path / "parent.py"
    parent.write_text(
        textwrap.dedent(f"""
        import sys, threading
        from tikval.config import Limits
        from tikval.media.child import Child
        from tikval.media.reading import Want
        child = Child(Limits(), command=(sys.executable, {str(worker)!r}, {str(tmp_path / "pids")!r}))
        threading.Thread(target=lambda: child.read("clip", Want())).start()
        """)
    )
    root = str(Path(__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": root, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, str(parent)], env=environment)
    try:
        pids: list[int] = []
        end = time.monotonic() + 30
        while len(pids) < 2 and time.monotonic() < end:
            time.sleep(0.05)
            if (tmp_path / "pids").exists():
                pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
        assert len(alive(pids)) == 2
    finally:
        process.kill()
        process.wait()
    end = time.monotonic() + 2
    while alive(pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert alive(pids) == []


def test_a_dropped_child_takes_its_worker_along(tmp_path: Path, fake: Child, notes: Path) -> None:
    fake.read("clip", Want())
    (worker,) = started(notes)
    assert alive([worker]) == [worker]
    fake.close()
    assert alive([worker]) == []


@pytest.fixture(scope="module")
def real() -> Iterator[Child]:
    with Child(Limits(seconds=60)) as child:
        yield child


def test_real_worker_sends_what_was_asked_for(real: Child, tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "ü b.mp4", sound=clips.tone(2))
    bare = real.read(str(path), Want())
    assert bare.frames is None
    assert bare.sound is None
    assert bare.scene is None
    assert bare.has_sound
    full = real.read(str(path), Want(frames=8, sound=True, scene=True))
    expected = read_clip(str(path), frames=8)
    assert full.frames is not None
    assert np.array_equal(full.frames, expected.frames)
    assert expected.sound is not None
    assert full.sound is not None
    assert np.array_equal(full.sound, expected.sound)
    assert full.content_sha == expected.content_sha
    assert (full.width, full.height, full.n_frames) == (128, 96, 50)
    assert full.scene is not None
    assert full.scene.orientation == "horizontal"


def test_real_worker_survives_bad_files_and_passes_reasons_on(real: Child, tmp_path: Path) -> None:
    page = tmp_path / "page.mp4"
    page.write_text("<!DOCTYPE html>" * 100)
    assert failure(real, str(page)).reason == Reason.UNREADABLE
    assert failure(real, str(tmp_path / "gone.mp4")).reason == Reason.MISSING_FILE
    assert failure(real, str(tmp_path)).reason == Reason.NOT_A_FILE
    path = clips.write_clip(tmp_path / "a.mp4", n=5)
    assert real.read(str(path), Want(frames=16)).n_frames == 5


def test_killing_the_real_worker_mid_read_costs_nothing(tmp_path: Path) -> None:
    path = clips.write_clip(
        tmp_path / "a.mp4", pictures=clips.moving(40, 1280, 720) * 4, width=1280, height=720, gop=250,
        options={"preset": "ultrafast"},
    )  # fmt: skip
    with Child(Limits(seconds=60)) as child:
        child.read(str(path), Want())  # starts it
        begun = time.monotonic()
        expected = child.read(str(path), Want(frames=16))
        halfway = (time.monotonic() - begun) / 2
        assert child._process is not None
        pid = child._process._process.pid
        killer = threading.Timer(halfway, os.kill, (pid, signal.SIGKILL))
        killer.start()
        reading = child.read(str(path), Want(frames=16))
        killer.join()
        assert child._process._process.pid != pid
    assert expected.frames is not None
    assert reading.frames is not None
    assert np.array_equal(reading.frames, expected.frames)


def test_real_worker_has_a_deadline(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "a.mp4", pictures=clips.moving(40, 1280, 720), width=1280, height=720)
    with Child(Limits(seconds=0.02)) as child:
        assert failure(child, str(path), Want(frames=16)).reason == Reason.TIMEOUT


def test_a_reading_survives_the_wire() -> None:
    frames = np.arange(2 * 224 * 300 * 3, dtype=np.uint8).reshape(2, 224, 300, 3)
    sound = np.arange(100, dtype=np.int16)
    scene = Scene("vertical", "dark", "still", 2)
    reading = ClipReading(1.5, 300, 224, 9, 0, True, 1, 9, "ab", frames, sound, [], [], scene)
    data = b"".join(bytes(piece) for piece in wire.reply(reading))
    (length,) = wire.LENGTH.unpack(data[:4])
    header = wire.header_of(data[4 : 4 + length])
    shape, samples = wire.payload_sizes(header, Want(frames=2, sound=True), Limits())
    assert (shape, samples) == ([2, 224, 300], 100)
    assert data[4 + length :] == frames.tobytes() + sound.tobytes()
    again = wire.reading_of(header, frames, sound)
    assert again.scene == scene
    assert again.lost_packets == 1


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_tools(Want(frames=16, sound=True))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingTool, match="tesseract"):
        check_tools(Want(ocr_frames=3))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingTool, match="moonshine"):
        check_tools(Want(speech=True))
