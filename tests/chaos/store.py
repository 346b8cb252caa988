"""moto's S3 on two ports: one tells the truth, the other has the faults that are turned on.

python -m tests.chaos.store TRUE_PORT FAULTY_PORT
POST /faults of the faulty port: the name of a fault of plan.STORE, or nothing
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple

SLOW_SECONDS: Final = 1.5  # of every answer
_BUSY: Final = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'
)
Start = Callable[[str, list[tuple[str, str]]], Any]
Listing = tuple[str, list[tuple[str, str]], bytes]


class FaultyStore:
    """A WSGI application in front of another one.

    Stale lists: each list answers as it did when it was last asked for before the fault began, or, never asked for
    before, as it does at its first time, for as long as the fault lasts.
    """

    def __init__(self, app: Any) -> None:
        self.app, self.fault = app, ""
        self.lists: dict[str, Listing] = {}

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/faults":
            self.fault = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)).decode()
            start("200 OK", [("Content-Length", "0")])
            return []
        if self.fault == "store_fails":
            start("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", str(len(_BUSY)))])
            return [_BUSY]
        if self.fault == "store_is_slow":
            time.sleep(SLOW_SECONDS)
        query = environ.get("QUERY_STRING", "")
        if environ["REQUEST_METHOD"] == "GET" and "list-type" in parse_qs(query):
            return self._list(f"{environ['PATH_INFO']}?{query}", environ, start)
        answer: Iterable[bytes] = self.app(environ, start)
        return answer

    def _list(self, asked: str, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if self.fault == "store_lists_are_stale" and asked in self.lists:
            status, headers, data = self.lists[asked]
        else:
            got: list[Any] = []
            data = b"".join(self.app(environ, lambda *given: got.extend(given[:2])))
            status, headers = got
            self.lists[asked] = (status, headers, data)
        start(status, headers)
        return [data]


def main() -> None:
    true_port, faulty_port = map(int, sys.argv[1:])
    app = DomainDispatcherApplication(create_backend_app)
    given: dict[str, Any] = {"threaded": True, "request_handler": MotoRequestHandler}
    threading.Thread(target=run_simple, args=("127.0.0.1", true_port, app), kwargs=given, daemon=True).start()
    run_simple("127.0.0.1", faulty_port, FaultyStore(app), **given)


if __name__ == "__main__":
    main()
