"""What stores say of the objects that a manifest names: a prefix is listed once, few objects are asked for singly."""

import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import pyarrow.fs as pafs

from tikval.config import UserError
from tikval.files import filesystem
from tikval.rows import Reason

_MANY: Final = 100  # objects below one prefix, from which on it is listed
_SECONDS_PER_HEAD: Final = 0.1  # a listing that takes longer than these holds far more than was asked for
_LEAST_SECONDS: Final = 20.0
_SECONDS_BETWEEN_LINES: Final = 10.0
_UNREACHED: Final = 3  # requests in a row, after which a bucket is asked no more
_SECOND: Final = 10**9  # ns
_DEEPEST: Final = 32  # prefixes of one object


class Unknown(Exception):  # noqa: N818 - what a store replied
    """Why nothing is known of an object."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Stated(NamedTuple):
    """What a store states of an object."""

    size: int
    etag: str  # time of the last change


class Objects:
    """The objects of one manifest."""

    def __init__(self, addresses: Iterable[str]) -> None:
        """`addresses`: all that will be asked for; others may be asked for too."""
        self.asked = Counter(prefix for address in addresses for prefix in _prefixes(address))
        self.listed: dict[tuple[str, bool], dict[str, Stated] | None] = {}  # None: asked for singly
        self.unreached = Counter[str]()  # by bucket, in a row

    def state_of(self, address: str) -> Stated | None:
        """What is stated of an object; None where there is none. Raises UserError for an address that is not opened,
        and Unknown."""
        prefixes = _prefixes(address)
        near = next((prefix for prefix in prefixes if self.asked[prefix] >= _MANY), None)
        listing = None
        if near is not None and "//" not in address.partition("://")[2]:
            listing = self._listing(near, recursive=near != address.rpartition("/")[0])
        return self._single(address, prefixes[-1]) if listing is None else listing.get(filesystem(address)[1])

    def _single(self, address: str, bucket: str) -> Stated | None:
        if self.unreached[bucket] >= _UNREACHED:
            raise Unknown(Reason.SERVER_ERROR, f"{bucket}: did not answer {_UNREACHED} times")
        try:
            fs, place = filesystem(address)
            info = fs.get_file_info(place)
        except OSError as err:
            fault = _fault(err)
            self.unreached[bucket] += fault.reason is Reason.SERVER_ERROR
            raise fault from err
        self.unreached[bucket] = 0
        return _stated(info, address.partition("://")[0]) if info.type == pafs.FileType.File else None

    def _listing(self, prefix: str, *, recursive: bool) -> dict[str, Stated] | None:
        """Objects below a prefix by place; None where it cannot be listed, or holds far more than is asked for."""
        if (prefix, recursive) not in self.listed:
            found: list[dict[str, Stated]] = []

            def work() -> None:
                try:
                    fs, place = filesystem(prefix)
                    infos = fs.get_file_info(
                        pafs.FileSelector(place, recursive=recursive, allow_not_found=True)
                    )
                except (OSError, UserError):
                    return  # who may not list may yet read
                scheme = prefix.partition("://")[0]
                found.append({i.path: _stated(i, scheme) for i in infos if i.type == pafs.FileType.File})

            worker = threading.Thread(target=work, daemon=True)  # no listing can be stopped
            worker.start()
            with told_while_slow(
                f"catalog: listing {prefix}, where {self.asked[prefix]} objects are looked for"
            ):
                worker.join(max(_LEAST_SECONDS, _SECONDS_PER_HEAD * self.asked[prefix]))
            self.listed[prefix, recursive] = found[0] if found else None
        return self.listed[prefix, recursive]


def _prefixes(address: str) -> list[str]:
    """The prefixes that an object lies below, the nearest first, its bucket last."""
    scheme, _, rest = address.partition("://")
    parts = rest.split("/")[:-1][:_DEEPEST]
    return [f"{scheme}://{'/'.join(parts[:n])}" for n in range(len(parts), 0, -1)]


def _stated(info: pafs.FileInfo, scheme: str) -> Stated:
    """The facts as a single request has them: S3 then states whole seconds, and some stores finer ones in a listing."""
    when = info.mtime_ns
    if when and scheme == "s3":
        when = when // _SECOND * _SECOND
    return Stated(info.size or 0, str(when or ""))


def _fault(err: OSError) -> Unknown:
    words = str(err)
    detail = " ".join(words.split())[:200]
    if isinstance(err, PermissionError) or any(
        x in words for x in ("ACCESS_DENIED", "403", "Forbidden", "denied")
    ):
        return Unknown(Reason.PERMISSION_DENIED, f"the store refuses: {detail}")
    if isinstance(err, FileNotFoundError) or any(x in words for x in ("NO_SUCH_BUCKET", "404", "Not Found")):
        return Unknown(Reason.MISSING_FILE, f"no such bucket: {detail}")
    return Unknown(Reason.SERVER_ERROR, f"the store does not answer: {detail}")


@contextmanager
def told_while_slow(what: str) -> Iterator[None]:
    """Print a line every few seconds while something goes on that tells nothing by itself."""
    done = threading.Event()

    def tell() -> None:
        seconds = 0.0
        while not done.wait(_SECONDS_BETWEEN_LINES):
            seconds += _SECONDS_BETWEEN_LINES
            print(f"{what}: {seconds:.0f} s", file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
