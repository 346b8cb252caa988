"""One driver at a time per folder: a file lock on a local disk, a lease on an object store."""

import fcntl
import json
import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tikval.config import UserError
from tikval.files import delete, is_local, open_lock, read_bytes, write_bytes

LEASE_SECONDS: Final = (
    60.0  # after its last renewal a lease is nobody's: what a dead driver costs the next one
)
RENEW_SECONDS: Final = 20.0  # two renewals may fail on the way
SETTLE_SECONDS: Final = 1.0  # between writing a lease and looking whether it is still ours

log = logging.getLogger(__name__)


class InUseError(UserError):
    """Another driver is at work on a folder."""


@contextmanager
def lock(uri: str) -> Iterator[None]:
    """Keep other drivers out of a folder; a dead driver holds nothing.

    Raises UserError where another one is at work, or the folder cannot be written.
    """
    with _flock(uri) if is_local(uri) else _lease(uri):
        yield


def is_locked(uri: str) -> bool:
    """Whether a driver works on a folder now. Raises OSError where the store does not answer."""
    if not is_local(uri):
        return _Lease(uri).other() is not None
    try:
        file = os.open(Path(uri) / ".lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


@contextmanager
def _flock(uri: str) -> Iterator[None]:
    """The kernel holds it for as long as the process lives."""
    try:
        file = open_lock(Path(uri) / ".lock")
    except OSError as err:
        raise UserError(f"{uri}: cannot be written ({err.strerror}); choose another --out") from err
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            file.seek(0)
            raise _in_use(uri, file.read().strip() or "starting") from err
        file.truncate(0)
        file.write(_who())
        file.flush()
        yield


@contextmanager
def _lease(uri: str) -> Iterator[None]:
    """`lock.json` names the driver at work and when its lease ends; a thread renews it.

    Best effort, for pyarrow's filesystems cannot write an object on the condition that it is not there: of two
    drivers that start within the same second both may believe they hold it for a while (the one that wrote first
    finds out at its next renewal), and a driver that was asleep for longer than the lease comes back to find
    another one at work. Then the end of this block raises UserError. The clocks of the machines must agree to
    within some seconds.
    """
    lease = _Lease(uri)
    lease.take()
    stop = threading.Event()
    renewer = threading.Thread(target=lease.renew_until, args=[stop], name="tikval-lease", daemon=True)
    renewer.start()
    try:
        yield
    finally:
        stop.set()
        renewer.join()
        lease.release()
    if lease.lost:
        raise UserError(f"{uri}: another run took over meanwhile ({lease.lost}); run the same command again")


class _Lease:
    def __init__(self, uri: str) -> None:
        self.uri, self.place = uri, f"{uri}/lock.json"
        self.owner, self.who = secrets.token_hex(8), _who()
        self.lost = ""  # to whom

    def take(self) -> None:
        try:
            self._refuse_if_held()
            self._write()
            time.sleep(SETTLE_SECONDS)
            self._refuse_if_held()  # of two that wrote, the last one has it
        except OSError as err:
            raise UserError(f"{self.uri}: cannot be written ({err}); choose another --out") from err

    def renew_until(self, stop: threading.Event) -> None:
        while not stop.wait(RENEW_SECONDS):
            try:
                if other := self.other():
                    self.lost = other
                    log.warning("%s: another run took over (%s)", self.uri, other)
                    return
                self._write()
            except OSError as err:  # a temporary fault of the store: the lease outlives it
                log.warning("%s: the lease could not be renewed, and is tried again (%s)", self.uri, err)

    def release(self) -> None:
        try:
            if not self.lost and not self.other():
                delete(self.place)
        except OSError as err:  # the work is done; the lease ends by itself
            log.warning("%s: the lease could not be given back (%s)", self.uri, err)

    def other(self) -> str | None:
        """Who else holds a lease that has not ended."""
        held = self._held()
        return held and held[0]

    def _refuse_if_held(self) -> None:
        """Raise InUseError where somebody else holds a lease: it says how long one holds whose driver is dead."""
        if held := self._held():
            who, seconds = held
            raise _in_use(
                self.uri, who, f"; if that run is dead, this command works in {math.ceil(seconds)} s"
            )

    def _held(self) -> tuple[str, float] | None:
        """Who else holds a lease that has not ended, and in how many seconds it ends if nobody renews it."""
        data = read_bytes(self.place)
        try:
            held: dict[str, Any] = json.loads(data or b"{}")
        except ValueError:  # not written by us
            return None
        seconds = held.get("expires", 0) - time.time()
        if held.get("owner") in (None, self.owner) or seconds < 0:
            return None
        return str(held["who"]), seconds

    def _write(self) -> None:
        lease = {"owner": self.owner, "who": self.who, "expires": time.time() + LEASE_SECONDS}
        write_bytes(self.place, json.dumps(lease).encode())


def _who() -> str:
    return f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%H:%M:%S')}"


def _in_use(uri: str, who: str, then: str = "") -> InUseError:
    return InUseError(f"{uri}: in use by another run ({who}){then}")
