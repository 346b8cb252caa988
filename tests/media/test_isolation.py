"""A worker that a video has taken over: what it then can reach. The "videos" here are programs that it runs."""

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.fixtures import clips
from tests.media.test_child import alive
from tikval.config import Limits, ScriptConfig, UserError, load_config
from tikval.media.child import Child
from tikval.media.clip import read_clip
from tikval.media.isolation import is_complete, isolation_text, kernel_isolation
from tikval.media.reading import ClipError, Want
from tikval.rows import Reason
from tikval.study.doctor import findings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what isolates is Linux's")

# the real worker, started and isolated as ever; but it runs what it is given
TAKEN_OVER = """
    import json, socket, sys, traceback
    from pathlib import Path
    from tikval.media.isolation import isolate
    isolation = isolate(Path.cwd())  # as the worker does when it is a program
    import tikval.media.worker as worker
    from tikval.media.reading import ClipError
    def read(files, *_):
        names, file = {}, files[0]
        try:
            exec(open(file, closefd=not isinstance(file, int)).read(), names)
        except OSError as err:
            names["out"] = type(err).__name__
        raise ClipError(worker.Reason.DAMAGED, json.dumps(names.get("out")))
    worker.read = read
    worker.main(isolation)
"""
# the calls themselves: what a library refuses of its own accord proves nothing
PROLOGUE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    ctypes.set_errno(0)
    return "done" if getattr(libc, name)(*arguments) >= 0 else os.strerror(ctypes.get_errno())
def tried(action):
    try:
        return repr(action())
    except OSError as err:
        return os.strerror(err.errno)
parent = os.getppid()
"""
LIMITS = Limits(seconds=20, memory_mb=700)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def taken(home: Path) -> Iterator[Child]:
    script = home / "taken.py"
    script.write_text(textwrap.dedent(TAKEN_OVER))
    with Child(LIMITS, command=(sys.executable, "-P", str(script))) as child:
        yield child


def run(child: Child, folder: Path, code: str) -> Any:
    """What the code in the worker leaves in `out`, or the name of the OSError that ended it."""
    video = folder / "video.mp4"
    video.write_text(PROLOGUE + textwrap.dedent(code))
    with pytest.raises(ClipError) as raised:
        child.read(str(video), Want())
    assert raised.value.reason == Reason.DAMAGED, raised.value
    return json.loads(raised.value.detail)


def test_the_worker_says_what_holds_it(taken: Child, home: Path) -> None:
    assert run(taken, home, "out = os.getpid()") > 0
    assert taken.isolation == kernel_isolation()
    assert is_complete(taken.isolation), f"this kernel has: {isolation_text(taken.isolation)}"


def test_doctor_asks_a_worker() -> None:
    (finding,) = [one for one in findings() if "isolation" in one.what]
    assert finding.found == isolation_text(kernel_isolation())
    assert isolation_text(("seccomp",)) == "seccomp; files are not limited (no Landlock)"


def test_a_finished_study_stays_finished_and_a_strange_word_is_an_error() -> None:
    config = load_config(ScriptConfig, "configs/local/scripts.yaml", [])
    for word in ("required", "off"):
        changed = load_config(ScriptConfig, "configs/local/scripts.yaml", [f"limits.isolation={word}"])
        assert changed.limits.isolation == word
        assert changed.fingerprint == config.fingerprint
    with pytest.raises(UserError, match=r"limits\.isolation"):
        load_config(ScriptConfig, "configs/local/scripts.yaml", ["limits.isolation=perhaps"])


def test_no_secret_of_its_parent_is_in_reach(
    taken: Child, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    for name in ("environ", "cmdline", "maps", "mem", "fd/0"):
        found = run(taken, home, f"out = tried(lambda: open(f'/proc/{{parent}}/{name}', 'rb').read(8))")
        assert found == "Permission denied", name
    assert run(taken, home, "out = call('ptrace', 16, parent, 0, 0)") == "Operation not permitted"
    reads = "out = call('process_vm_readv', parent, None, 0, None, 0, 0)"
    assert run(taken, home, reads) == "Operation not permitted"
    names = set(run(taken, home, "out = list(os.environ)"))
    assert not [name for name in names if "KEY" in name or "TOKEN" in name or "SECRET" in name]
    assert run(taken, home, "out = os.environ['HOME'] == os.getcwd()")


def test_the_parents_memory_is_closed_by_itself(taken: Child, home: Path) -> None:
    """Also where there is no Landlock: a process of the same user may not look into one that is not dumpable."""
    code = f"""
        import ctypes
        from tikval.config import Limits
        from tikval.media.child import Child
        from tikval.media.reading import ClipError, Want
        for isolation in ("off", "auto"):
            with Child(Limits(isolation=isolation)) as child:
                try:
                    child.read({str(home / "gone")!r}, Want())
                except ClipError:
                    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), child.isolation != ())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "False", "0", "True"]


def test_no_file_of_the_user_can_be_read_or_listed(taken: Child, home: Path) -> None:
    secret = home / ".ssh" / "id_ed25519"
    secret.parent.mkdir()
    secret.write_text("secret")
    (home / "link").symlink_to(secret)
    for path in (secret, home / "link", Path("/etc/passwd"), Path("/proc/1/cmdline")):
        assert run(taken, home, f"out = tried(lambda: open({str(path)!r}).read())") == "Permission denied", (
            path
        )
    for folder in (secret.parent, home, Path.home(), Path("/tmp"), Path("/proc"), Path(__file__).parent):
        assert run(taken, home, f"out = tried(lambda: os.listdir({str(folder)!r}))") == "Permission denied"


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"])
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW"])
def test_no_socket_opens(taken: Child, home: Path, family: str, kind: str) -> None:
    opens = f"out = call('socket', {getattr(socket, family).value}, {getattr(socket, kind).value}, 0)"
    assert run(taken, home, opens) == "Operation not permitted"


def test_the_one_socket_it_has_leads_nowhere_else(taken: Child, home: Path) -> None:
    for name, arguments in (
        ("connect", "0, b'x' * 16, 16"), ("bind", "0, b'x' * 16, 16"), ("listen", "0, 1"),
        ("sendto", "0, b'x', 1, 0, None, 0"), ("sendmsg", "0, None, 0"), ("socketpair", "1, 1, 0, None"),
    ):  # fmt: skip
        assert run(taken, home, f"out = call({name!r}, {arguments})") == "Operation not permitted", name
    # not by way of the kernel's other doors either
    for number in (425, 438, 321 if os.uname().machine == "x86_64" else 280):  # io_uring, pidfd_getfd, bpf
        assert run(taken, home, f"out = call('syscall', {number}, 8, 0, 0)") == "Operation not permitted"


def test_it_writes_in_its_own_folder_and_nowhere_else(taken: Child, home: Path) -> None:
    mine = home / "mine.txt"
    mine.write_text("mine")
    before = mine.stat()
    writes = {
        "write": f"open({str(mine)!r}, 'w')",
        "append": f"open({str(mine)!r}, 'a')",
        "make": f"open({str(home / 'new')!r}, 'w')",
        "folder": f"os.mkdir({str(home / 'new')!r})",
        "remove": f"os.remove({str(mine)!r})",
        "rename": f"os.rename({str(mine)!r}, {str(home / 'other')!r})",
        "link": f"os.link({str(mine)!r}, 'mine')",
        "truncate": f"os.truncate({str(mine)!r}, 0)",
        "mode": f"os.chmod({str(mine)!r}, 0)",
        "owner": f"os.chown({str(mine)!r}, 1, 1)",
        "time": f"os.utime({str(mine)!r}, (0, 0))",
        "attribute": f"os.setxattr({str(mine)!r}, 'user.a', b'b')",
        "video's mode": "os.fchmod(max(int(n) for n in range(3, 20) if exists(n)), 0)",
        "shared memory": "open('/dev/shm/tikval-test', 'w')",
        "package": f"open({str(Path(sys.prefix) / 'lib' / 'tikval-test')!r}, 'w')",
        "cron": "open('/var/tmp/tikval-test', 'w')",
    }
    helper = """
        def exists(n):
            try: os.fstat(n); return True
            except OSError: return False
    """
    for name, code in writes.items():
        found = run(taken, home, textwrap.dedent(helper) + f"out = tried(lambda: {code})")
        assert found in ("Permission denied", "Operation not permitted", "Invalid cross-device link"), name
    after = mine.stat()
    assert mine.read_text() == "mine"
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (
        before.st_mode,
        before.st_uid,
        before.st_mtime_ns,
    )
    assert sorted(path.name for path in home.iterdir() if "new" in path.name or "other" in path.name) == []
    own = "import tempfile; f = tempfile.NamedTemporaryFile(); f.write(b'x'); out = f.name.startswith(os.getcwd())"
    assert run(taken, home, own)


def test_it_cannot_disturb_other_processes(taken: Child, home: Path) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        refused = "Operation not permitted"
        for pid in (str(other.pid), "parent", "-1"):
            assert run(taken, home, f"out = call('kill', {pid}, 15)") == refused
        assert run(taken, home, "out = call('setpriority', 0, parent, 19)") == refused
        assert run(taken, home, "out = call('prlimit', parent, 0, b'\\0' * 16, None)") == refused
        assert run(taken, home, "out = call('setsid')") == refused
        assert run(taken, home, "out = call('setpgid', 0, 0)") == refused
        assert run(taken, home, "out = call('unshare', 0x10000000)") == refused
        assert run(taken, home, "out = call('mount', b'x', b'/', b'tmpfs', 0, None)") == refused
        assert run(taken, home, "out = open('/proc/cpuinfo').read(1) and call('setuid', 1)") == refused
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_root_has_none_of_its_powers(taken: Child, home: Path) -> None:
    """Also those that a program would give back to root when it is started."""
    programs = (
        "import subprocess; code = \"print(open('/proc/self/status').read())\"",
        "done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)",
    )
    seen = run(taken, home, "\n".join([*programs, "out = done.returncode, done.stderr[-100:]"]))
    assert seen[0] != 0  # not even its own entry in /proc
    assert "Permission" in seen[1]
    code = "r = ctypes.create_string_buffer(24); libc.capget(b'\\x22\\x05\\x08\\x20' + bytes(4), r); out = r.raw.hex()"
    assert run(taken, home, code.replace("\\x22\\x05\\x08\\x20", "\\x22\\x05\\x08\\x20")) == "00" * 24


def test_a_fork_bomb_ends_and_leaves_nothing(taken: Child, home: Path) -> None:
    """Each process leaves its parent at once, so that nobody is below the worker."""
    pid = run(taken, home, "out = os.getpid()")
    video = home / "video.mp4"
    video.write_text(
        "import os, time\nfor n in range(200):\n    if os.fork() == 0:\n        if os.fork(): os._exit(0)\n"
        "        time.sleep(100)\ntime.sleep(100)\n"
    )
    begun = time.monotonic()
    with pytest.raises(ClipError) as raised:
        taken.read(str(video), Want())
    assert raised.value.reason == Reason.OUT_OF_MEMORY
    assert time.monotonic() - begun < LIMITS.seconds / 2
    time.sleep(0.3)
    group = [process.pid for process in psutil.process_iter() if group_of(process.pid) == pid]
    assert alive(group) == []


@pytest.mark.parametrize("holds_interpreter", [False, True])
def test_nothing_outlives_a_killed_parent_in_isolation(tmp_path: Path, holds_interpreter: bool) -> None:
    """The signal that ends the group passes the same walls."""
    (tmp_path / "taken.py").write_text(textwrap.dedent(TAKEN_OVER))
    (tmp_path / "video.mp4").write_text(
        "import ctypes, subprocess; subprocess.Popen(['sleep', '1000']);"
        f"ctypes.{'PyDLL' if holds_interpreter else 'CDLL'}(None).sleep(1000)"
    )
    code = f"""
        import sys
        from tikval.config import Limits
        from tikval.media.child import Child
        from tikval.media.reading import Want
        child = Child(Limits(), command=(sys.executable, "-P", {str(tmp_path / "taken.py")!r}))
        child.read({str(tmp_path / "video.mp4")!r}, Want())
    """
    parent = psutil.Popen([sys.executable, "-c", textwrap.dedent(code)])
    try:
        end = time.monotonic() + 30
        while len(below := parent.children(recursive=True)) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert len(below) == 2
    finally:
        parent.kill()
        parent.wait()
    end = time.monotonic() + 2
    while alive([process.pid for process in below]) and time.monotonic() < end:
        time.sleep(0.05)
    assert alive([process.pid for process in below]) == []


def group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def test_threads_and_programs_still_start(taken: Child, home: Path) -> None:
    code = """
        import threading
        out = []
        thread = threading.Thread(target=lambda: out.append(1)); thread.start(); thread.join()
    """
    assert run(taken, home, code) == [1]
    code = (
        "import subprocess; out = subprocess.run(['tesseract', '--version'], capture_output=True).returncode"
    )
    assert run(taken, home, code) == 0


def test_everything_that_a_worker_does_works_in_isolation(tmp_path: Path) -> None:
    """Text, speech, pictures, sound: the same as without."""
    if not shutil.which("tesseract"):
        pytest.skip("no Tesseract")
    path = clips.write_clip(tmp_path / "a.mp4", sound=clips.tone(2))
    want = Want(frames=4, sound=True, ocr_frames=2, speech=True, scene=True)
    with Child(Limits(isolation="required")) as held, Child(Limits(isolation="off")) as free:
        one, other = held.read(str(path), want), free.read(str(path), want)
        assert (held.isolation, free.isolation) == (kernel_isolation(), ())
    assert one.frames is not None
    assert other.frames is not None
    assert np.array_equal(one.frames, other.frames)
    assert one.content_sha == other.content_sha
    assert one.captions == other.captions


def test_where_the_kernel_lacks_it_required_stops_and_auto_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "bare.py"
    script.write_text(
        "import runpy, tikval.media.isolation as isolation\n"
        "isolation._landlock_version = lambda: -1\n"
        "runpy.run_module('tikval.media.worker', run_name='__main__')\n"
    )
    path = str(clips.write_clip(tmp_path / "a.mp4"))
    with Child(Limits(), command=(sys.executable, "-P", str(script))) as child:
        assert child.read(path, Want()).n_frames == 50
        assert child.isolation == ("seccomp",)
        assert "no Landlock" in isolation_text(child.isolation)
    with (
        Child(Limits(isolation="required"), command=(sys.executable, "-P", str(script))) as child,
        pytest.raises(UserError, match=r"limits\.isolation is required.*no Landlock"),
    ):
        child.read(path, Want())


@pytest.mark.parametrize("decoder", ["in a worker", "here"])
def test_hash_and_pictures_are_of_the_same_bytes(tmp_path: Path, decoder: str) -> None:
    """Two videos take turns under one name, as fast as they can."""
    expected = {}
    for name, colour in (("dark", (0, 0, 0)), ("light", (255, 255, 255))):
        place = clips.write_clip(
            tmp_path / f"{name}.mp4", pictures=[np.full((96, 128, 3), colour, np.uint8)] * 9
        )
        expected[read_clip(str(place)).content_sha] = name == "light"
    path, stop = tmp_path / "video.mp4", threading.Event()
    shutil.copy(tmp_path / "dark.mp4", path)

    def swap() -> None:
        while not stop.is_set():
            for name in ("light", "dark"):
                shutil.copy(tmp_path / f"{name}.mp4", tmp_path / "next")
                (tmp_path / "next").replace(path)

    swapper = threading.Thread(target=swap)
    seen = set()
    with Child(LIMITS) as child:
        child.read(str(path), Want())
        swapper.start()
        try:
            for _ in range(100):
                if decoder == "here":
                    clip = read_clip(str(path), frames=1)
                    sha, frames = clip.content_sha, clip.frames
                else:
                    reading = child.read(str(path), Want(frames=1))
                    assert reading.frames is not None
                    sha, frames = reading.content_sha, reading.frames
                assert (frames.mean() > 128) == expected[sha]
                seen.add(sha)
        finally:
            stop.set()
            swapper.join()
    assert seen == set(expected)


def test_a_file_that_changes_while_it_is_read_is_a_failure(tmp_path: Path) -> None:
    path = clips.write_clip(
        tmp_path / "a.mp4", pictures=clips.moving(40, 1280, 720), width=1280, height=720, gop=250
    )
    stop = threading.Event()

    def write() -> None:
        with path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            while not stop.wait(0.001):
                file.seek(end - 1)
                file.write(b"\0")
                file.flush()

    writer = threading.Thread(target=write)
    with Child(LIMITS) as child:
        writer.start()
        try:
            with pytest.raises(ClipError, match="changed while it was read") as raised:
                child.read(str(path), Want(frames=16))
        finally:
            stop.set()
            writer.join()
        assert raised.value.reason == Reason.DAMAGED
        assert child.read(str(path), Want(frames=2)).n_frames == 40
