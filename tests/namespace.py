"""A network and process namespace of its own for a Ray head: it listens beyond loopback, and here there is no beyond.

    with Namespace() as inside:
        inside.run(["ray", "start", "--head"])

Whatever was started inside is killed by the kernel when the namespace's first process ends, even if the test dies.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
# the first process: it brings up lo, hides the machine's /tmp/ray, reaps orphans, and ends with its parent's pipe
_FIRST = "mount -t tmpfs tmpfs /tmp/ray && ip link set lo up && echo ready && cat >/dev/null"

HEAD = "127.0.0.1:6379"
DASHBOARD = "http://127.0.0.1:8265"
_QUICK = {  # no processes that nobody needs here, and a dead node found out in seconds
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_health_check_period_ms": "1000",
}


def _unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]


def available() -> bool:
    """Whether this machine lets us make one."""
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip", "mount")):
        return False
    Path("/tmp/ray").mkdir(exist_ok=True)
    done = subprocess.run([*_unshare(), "bash", "-c", _FIRST], stdin=subprocess.DEVNULL, capture_output=True)
    return done.returncode == 0


class Namespace:
    """Commands run inside have token authentication on, and a token."""

    def __enter__(self) -> Self:
        self.token = tempfile.NamedTemporaryFile("w", prefix="tikval-token-")  # only its owner may read it
        self.token.write(secrets.token_hex(32))
        self.token.flush()
        self.environment = {
            **os.environ,
            **_QUICK,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": self.token.name,
        }
        self.first = subprocess.Popen(
            [*_unshare(), "bash", "-c", _FIRST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.first.stdout is not None
        assert self.first.stdout.readline() == "ready\n"
        children = Path(f"/proc/{self.first.pid}/task/{self.first.pid}/children").read_text().split()
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.enter = ["nsenter", "--target", children[0], *user, "--net", "--pid", "--mount"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.first.kill()  # and with it, by --kill-child, all that is inside
        self.first.communicate()
        self.token.close()

    def start_nodes(self, count: int, cpus: int, dashboard: bool = True) -> list[str]:
        """Ray nodes, the first of them the head; its dashboard takes submissions. Returns their addresses."""
        addresses = [f"127.0.0.{number}" for number in range(1, count + 1)]
        own = ["ray", "start", f"--num-cpus={cpus}", f"--object-store-memory={100 << 20}"]
        own += ["--include-log-monitor=False"]
        # one after the other: two that join at once from one machine get in each other's way
        for address in addresses:
            joined = address != addresses[0]
            role = [f"--address={HEAD}"] if joined else ["--head", f"--include-dashboard={dashboard}"]
            self.check([*own, *role, f"--node-ip-address={address}"])
        return addresses

    def check(self, command: Sequence[str]) -> str:
        code, said = self.run(command)
        assert code == 0, said
        return said

    def start(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """Begin a command inside, in the root of the project, with its output in one pipe."""
        return subprocess.Popen(
            [*self.enter, f"--wd={ROOT}", *command],
            env={**self.environment, **(env or {})},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, seconds: float = 90
    ) -> tuple[int, str]:
        """Exit code and output of a command inside."""
        process = self.start(command, env)
        said, _ = process.communicate(timeout=seconds)
        return process.returncode, said
