"""A model hub over real HTTP, with what huggingface_hub asks of one: the commit of a name, and files at a commit."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Hub:
    """Serves `models[name]`, a folder, at `commits[name]`; `asked` lists what was asked for."""

    def __init__(self, models: dict[str, Path]) -> None:
        self.models = models
        self.commits = {name: hashlib.sha1(name.encode()).hexdigest() for name in models}
        self.asked: list[str] = []
        self.url = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        for name, folder in self.models.items():
            commit = self.commits[name]
            if path.startswith(f"/api/models/{name}"):
                files = [{"rfilename": file.name} for file in folder.iterdir() if file.is_file()]
                return 200, {}, json.dumps({"id": name, "sha": commit, "siblings": files}).encode()
            revision, _, file = path.removeprefix(f"/{name}/resolve/").partition("/")
            if path.startswith(f"/{name}/resolve/") and (folder / file).is_file():
                if revision not in ("main", commit):
                    return 404, {"X-Error-Code": "RevisionNotFound"}, b""
                data = (folder / file).read_bytes()
                return 200, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": commit}, data
            if path.startswith(f"/{name}/resolve/"):
                return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b""
        return 404, {"X-Error-Code": "RepoNotFound"}, b""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub on a port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, data = hub.answer(unquote(urlsplit(self.path).path))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815 - as http.server spells it

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
