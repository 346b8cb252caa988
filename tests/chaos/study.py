"""The study that is disturbed: its configuration, its command, its rows on the way and its tables at the end.

Read here by pyarrow alone: what the product says of its own files proves nothing.
"""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import yaml

from tests.fixtures.corpus import write_unlike

ROWS: Final = 30
ACTORS, IN_FLIGHT = 2, 4  # that pay, and calls of each at once
# the number of tries tells a row's history and not its result; the reply's key has it in it, and what a reply costs
# hangs on what the server still knew of the prompt
NOT_COMPARED: Final = ("attempt", "ledger_key", "cost_usd")
TABLES: Final = ("catalog", "scripts", "predictions")


def write_videos(folder: Path, n: int = ROWS) -> list[str]:
    """`n` videos that differ in their bytes, and a table with a caption for each, so that each is another question."""
    ids = write_unlike(folder, n)
    with (folder / "videos.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "video_id", "caption"])
        lines.writerows([f"{name}.mp4", name, f"Day {n} of our garden"] for n, name in enumerate(ids))
    return ids


def write_config(file: Path, videos: Path, out: str, url: str) -> None:
    """Local scripts and a paid system over them, from `videos` into `out`; `url`: of the server that bills."""
    system = yaml.safe_load(Path("configs/gemini/two_step.yaml").read_text())
    api = {"base_url": url, "minors_unknown": "send", "in_flight": IN_FLIGHT}
    scripts = {
        "videos": {"videos": f"{videos}/videos.csv", "out": out},
        "out": out,
        "writer": {"kind": "local", "ocr": {"frames": 1}, "speech": {"engine": "none"}},
        "pool": {"actors": 2, "cpus": 0.5, "batch_rows": 1},
    }
    system |= {"scripts": scripts, "out": out, "pool": {"actors": ACTORS, "cpus": 0.5}}
    system["api"] = {**system["api"], **api, "requests_per_minute": 6000, "tokens_per_minute": 100_000_000}
    report = {"scores": {"predictions": [system], "out": out}, "out": out}
    file.write_text(yaml.safe_dump(report))


class Results:
    """The folder of results, read past every fault."""

    def __init__(self, fs: pafs.FileSystem, path: str) -> None:
        self.fs, self.path = fs, path
        self.counted: dict[str, int] = {}

    def _files(self, stage: str, suffix: str) -> list[str]:
        found = self.fs.get_file_info(pafs.FileSelector(self.path, recursive=True, allow_not_found=True))
        names = (info.path for info in found if info.type == pafs.FileType.File)
        return [
            name
            for name in names
            if f"/{stage}-" in name and name.endswith(suffix) and name.rpartition("/")[2][0] not in "._"
        ]

    def rows(self, stage: str) -> int:
        """Rows on disk, in parts or in a finished table."""
        for name in self._files(stage, ".parquet"):
            if name not in self.counted:
                try:
                    with self.fs.open_input_file(name) as file:
                        self.counted[name] = pq.read_metadata(file).num_rows
                except (OSError, pa.ArrowInvalid):  # a driver at work replaces parts
                    continue
        there = set(self._files(stage, ".parquet"))
        return sum(n for name, n in self.counted.items() if name in there)

    def finished(self, stage: str) -> bool:
        return bool(self._files(stage, "/run.json"))

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The finished tables as their run.json name them, by id, without NOT_COMPARED."""
        made = {}
        for stage in TABLES:
            (run,) = self._files(stage, "/run.json")
            with self.fs.open_input_stream(run) as file:
                names = json.loads(file.read())["files"]
            parts = []
            for name in names:
                with self.fs.open_input_file(f"{run.rpartition('/')[0]}/{name}") as file:
                    parts.append(pq.read_table(file))
            rows = pa.concat_tables(parts).to_pylist()
            for row in rows:
                for column in NOT_COMPARED:
                    row.pop(column, None)
            made[stage] = sorted(rows, key=lambda row: row["video_id"])
        same: dict[str, list[dict[str, Any]]] = json.loads(json.dumps(made, default=str))
        return same  # as a reference in a file has them


def differences(got: dict[str, list[dict[str, Any]]], calm: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What is not as in the undisturbed run: ids that are lacking or repeated, cells that differ."""
    wrong = []
    for stage in TABLES:
        ids, want = Counter(row["video_id"] for row in got[stage]), [row["video_id"] for row in calm[stage]]
        wrong += [
            f"{stage}: {name} {ids[name]} times" for name in {*ids, *want} if ids[name] != want.count(name)
        ]
        rows = {row["video_id"]: row for row in got[stage]}
        for row in calm[stage]:
            mine = rows.get(row["video_id"], row)
            wrong += [f"{stage}: {row['video_id']}.{key}" for key in row if row[key] != mine[key]]
    return wrong
