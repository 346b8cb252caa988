"""Three Ray nodes in this network namespace, and what can happen to their processes."""

import contextlib
import random
import signal
import subprocess

import psutil

from tests.fixtures.namespace import address_of, node_processes, start_node

CPUS = 2  # of a node, logical: all that is left of the cluster once two are lost


class Cluster:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def start(self, numbers: list[int]) -> None:
        """Start nodes one after another; number 1 is the head."""
        for number in numbers:
            start_node(address_of(number), CPUS)

    def restart(self) -> None:
        """A user's way after the head is gone: away with what is left, and all three anew."""
        subprocess.run(["ray", "stop", "--force"], capture_output=True, timeout=90)
        self.start([1, 2, 3])

    def gcs(self) -> psutil.Process:
        return next(each for each in psutil.process_iter(["name"]) if each.info["name"] == "gcs_server")

    def workers(self) -> list[psutil.Process]:
        """Actors of stages on all nodes."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "ray::MapWorker" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def node(self) -> list[psutil.Process]:
        """The processes of a node that is not the head, the raylet first; one with actors where there is one."""
        alive = []
        for number in (2, 3):
            with contextlib.suppress(LookupError, psutil.NoSuchProcess):
                alive.append(node_processes(address_of(number)))
        workers = {process.pid for process in self.workers()}
        busy = [node for node in alive if any(process.pid in workers for process in node)]
        return self.chance.choice(busy or alive)

    def victims(self, kind: str, driver: psutil.Process) -> tuple[list[psutil.Process], signal.Signals]:
        """The processes that a fault is about, and the signal that they get."""
        stopped = kind.startswith("stop_")
        about = kind.removeprefix("stop_")
        if about == "driver":
            found = [driver]
        elif about == "worker":
            found = [self.chance.choice(self.workers())]
        elif about == "gcs":
            found = [self.gcs()]
        else:
            found = self.node()[: 1 if about == "raylet" else None]
        return found, signal.SIGSTOP if stopped else signal.SIGKILL
