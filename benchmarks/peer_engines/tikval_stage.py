"""tikval: its catalog, its folder of parts, its `run_stage`; the reader in a child process, or, to see what that costs,
in the actor itself."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peer_engines.work import FRAMES, WIDTH, WORKERS, Job, Model, Work, note
from tikval.config import CatalogConfig, EmbedConfig, Limits, Pool
from tikval.flow.data import Step, run_stage
from tikval.media.child import Child
from tikval.media.reading import ClipError, Want
from tikval.rows import EmbeddingRow, Reason, arrow_schema
from tikval.sources.write_catalog import write_catalog

LIMITS = Limits(seconds=20)  # for a clip of ten seconds
CHILD = (sys.executable, "-P", "-m", "benchmarks.peer_engines.tikval_child")


class Isolated:
    """The stage as tikval's own are: what touches the file is a child process."""

    def __init__(self, ledger: str) -> None:
        self.model, self.ledger = Model(), ledger
        self.child = Child(LIMITS, command=CHILD)

    def __call__(self, rows: list[Any]) -> list[Any]:
        return [self._one(row) for row in rows]

    def _one(self, row: Any) -> Any:
        try:
            reading = self.child.read(row["path"], Want(frames=FRAMES, sound=True))
        except ClipError as err:
            note(self.ledger, Path(row["path"]).stem)
            return self.failure(row, err.reason, err.detail)
        assert reading.frames is not None
        vector = self.model(reading.frames, reading.sound)
        note(self.ledger, Path(row["path"]).stem)
        return _row(row) | {"vector": vector, "has_video": True, "has_sound": reading.has_sound}

    def failure(self, row: Any, reason: Reason, detail: str | None) -> Any:
        return _row(row) | {"error": reason.value, "detail": detail}


class InProcess:
    """The same engine with the work of the others."""

    def __init__(self, ledger: str) -> None:
        self.work = Work(ledger)

    def __call__(self, rows: list[Any]) -> list[Any]:
        done = [(row, self.work(row["path"])) for row in rows]
        return [_row(row) | {"vector": one["vector"], "error": one["error"]} for row, one in done]

    failure = Isolated.failure


def _row(row: Any) -> dict[str, Any]:
    empty = dict.fromkeys(EmbeddingRow.__annotations__)
    return empty | {name: row[name] for name in ("video_id", "row_key", "attempt")} | {"model": "light"}


def run(job: Job, stage: type[Isolated] | type[InProcess] = Isolated) -> None:
    videos = CatalogConfig(out=job.out, videos=job.clips)
    config = EmbedConfig(out=job.out, videos=videos, read_pool=Pool(actors=WORKERS))
    write_catalog(videos)
    step = Step(partial(stage, job.ledger), arrow_schema(EmbeddingRow, vector=WIDTH), config.read_pool)
    run_stage(config, [step], source=videos, catalog=videos)


def run_in_process(job: Job) -> None:
    run(job, InProcess)
