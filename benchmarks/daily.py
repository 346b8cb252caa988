"""A growing bucket: what one per cent more objects cost, against the first day, in requests, CPU and bytes.

    python benchmarks/daily.py            20,000 objects, then 200 more; writes benchmarks/results/daily.json
    python benchmarks/daily.py --quick    400 objects, then 4 more

The videos are objects of one byte on an S3 server of this process, the study lies on a local disk. The catalog is
written as `tikval analyze` does, twice a day; rows of a stage are made up, and go through the same keys, parts and
seal. Models, decoding and Ray are left out: their cost is by new video. Targets: no request for a single object (one
for the folder itself, on the first day), the same command again writes no table, the second day lists with no more
requests than the first and one page, and computes the new rows alone.
"""

import argparse
import json
import logging
import os
import platform
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from tikval.config import CatalogConfig, ScriptConfig
from tikval.machine import cores
from tikval.rows import ScriptRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.row_keys import contains, keys_of


class CountedRequests:
    """A WSGI application that counts what it is asked: `GET list`, or a method and `object`."""

    def __init__(self, app: Any) -> None:
        self.app, self.counts = app, Counter[str]()

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        name = environ["PATH_INFO"].strip("/").partition("/")[2]
        self.counts[f"{environ['REQUEST_METHOD']} {'object' if name else 'list'}"] += 1
        return self.app(environ, start)


def serve() -> CountedRequests:
    """Start the server on the loopback interface, and lead this process there."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
    app = CountedRequests(DomainDispatcherApplication(create_backend_app))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED")
    os.environ |= dict.fromkeys(names, "true") | {"AWS_DEFAULT_REGION": "us-east-1"}
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    place = pafs.S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL"], allow_bucket_creation=True)
    place.create_dir("bucket")
    return app


def put(start: int, end: int) -> None:
    """Put objects into the server's own memory: by requests they would take minutes."""
    store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for k in range(start, end):
        store.put_object("bucket", f"videos/v{k:07}.mp4", b"x")


def written(out: Path, before: dict[str, tuple[int, int]]) -> tuple[int, dict[str, tuple[int, int]]]:
    """Bytes of files that are new or were written anew, and the files as they are."""
    now = {
        str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in out.rglob("*") if file.is_file()
    }
    return sum(size for name, (at, size) in now.items() if before.get(name) != (at, size)), now


def compute(config: ScriptConfig) -> int:
    """A stage over the rows that need it; returns how many that were."""
    folder, catalog = Folder(config.folder), Folder(config.videos.folder)
    table = catalog.read(["video_id", "row_key"])
    todo = table.filter(pa.array(~contains(folder.seen().done, keys_of(table["row_key"])))).to_pylist()
    empty = dict.fromkeys(ScriptRow.__annotations__)
    rows = [{**empty, **row, "attempt": 1, "script": "a script", "model": "none"} for row in todo]
    if rows:
        folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(ScriptRow)))
        folder.seal(config, {catalog.uri: catalog.finished().state}, 1.0)
    return len(rows)


def day(
    config: ScriptConfig, app: CountedRequests, files: dict[str, tuple[int, int]]
) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    app.counts.clear()
    # of this thread: the server's own work is another's
    begin = time.thread_time()
    write_catalog(config.videos, lambda _: None)
    listing = time.thread_time() - begin
    rows = compute(config)
    size, files = written(Path(config.out), files)
    return {
        "rows_computed": rows,
        "requests": dict(sorted(app.counts.items())),
        "cpu_seconds_catalog": round(listing, 3),
        "cpu_seconds": round(time.thread_time() - begin, 3),
        "bytes_written": size,
    }, files


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    n = 400 if quick else 20_000
    app = serve()
    put(0, n)
    with tempfile.TemporaryDirectory(prefix="tikval-bench-") as work:
        out = f"{work}/out"
        config = ScriptConfig(out=out, videos=CatalogConfig(out=out, videos="s3://bucket/videos"))
        first, files = day(config, app, {})
        again, files = day(config, app, files)
        put(n, n + n // 100)
        second, files = day(config, app, files)
    singly = sum(
        count for one in (first, again, second) for what, count in one["requests"].items() if "object" in what
    )
    lists = [one["requests"].get("GET list", 0) for one in (first, second)]
    targets = {
        "requests for single objects": singly <= 1,  # for the folder itself, on the first day
        "requests of the second day's listing": lists[1] <= lists[0] + 1,
        "bytes of the same command again": again["bytes_written"] < first["bytes_written"] / 10,
        "rows computed": (again["rows_computed"], second["rows_computed"]) == (0, n // 100),
    }
    result = {
        "objects": n,
        "first_day": first,
        "same_command_again": again,
        "one_per_cent_more": second,
        "targets_met": targets,
        "machine": f"{cores()} cores, {platform.machine()}, no GPU, other work beside it",
        "command": "python benchmarks/daily.py" + " --quick" * quick,
    }
    if not quick:
        place = Path(__file__).with_name("results") / "daily.json"
        place.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0 if all(targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
