"""The made rows of a study of any size: a list as a user has it, and folders as stages leave them, file by file."""

import csv
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tikval.cli.profiles import Wanted, report_of_profiles
from tikval.config import ExtractConfig, JobConfig, ReportConfig
from tikval.files import write_table
from tikval.rows import PredictionRow, ScriptRow, arrow_schema
from tikval.store.folder import SEALED_ROWS, Folder
from tikval.values import LABELS, SLUGS

ANNOTATED: Final = 1_000
ACCOUNTS_EACH: Final = 50  # videos of an account
FAILED_EVERY: Final = 1_000  # a row without a result
_SECONDS: Final = 1_735_689_600  # the first post's time: 2025-01-01
_KIND: Final = 13
_LINES: Final = (
    "I fixed my neighbour's bike today because she needs it for work.",
    "We always light the lamp the way our grandparents did it.",
    "Nobody will tell me how I have to live my life.",
    "Look at this kitchen, look at this light, we are so happy here.",
    "First place again, and next year we train even harder.",
    "Please keep the beach clean for the turtles.",
)


def config_of(out: str) -> ReportConfig:
    """The local profile over the made list."""
    made = Path(out).parent
    wanted = Wanted(f"{made}/list.csv", out, f"{made}/labels.csv", "random")
    return report_of_profiles(["local"], wanted)


def video_id(i: int) -> str:
    """A post's id of 19 digits, whose upper bits are its time and whose bits 8 to 12 say that it is a video's."""
    return str((_SECONDS + i << 32) + (_KIND << 8) + i % 251)


def write_list(place: Path, n: int, start: int = 0) -> None:
    """`n` lines of scripts that are given in the place of videos, with account, genre and caption; and 1,000 labels."""
    draw = random.Random(0)
    with (place / "list.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["video_id", "account", "genre", "caption", "script"])
        for i in range(start, start + n):
            text = f'SPEAKER: "{draw.choice(_LINES)} {draw.choice(_LINES)}"\n[CAPTIONS] part {i}'
            account = f"maker.{i // ACCOUNTS_EACH}"
            lines.writerow(
                [video_id(i), account, "Food", f"Cooking with @friend.{i % 97}, part {i} #fyp", text]
            )
    with (place / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["video_id", "annotator", *SLUGS])
        for i in sorted(draw.sample(range(start, start + n), min(ANNOTATED, n))):
            stances = draw.choices((-1, 0, 1), (1, 6, 3), k=len(SLUGS))
            table.writerow([video_id(i), "human", *stances])


def write_stage(config: JobConfig, catalog: Folder, kind: type, columns_of: Any) -> None:
    """A sealed folder with a row for each of the catalog; what is not given is null."""
    folder, schema, files, rows = Folder(config.folder), arrow_schema(kind), list[str](), 0
    for ids, keys in _blocks(catalog):
        size = len(ids)
        columns: dict[str, Any] = {name: pa.nulls(size, schema.field(name).type) for name in schema.names}
        given = {"video_id": ids, "row_key": keys, "attempt": pa.array(np.ones(size, np.int64))}
        columns |= given | columns_of(rows, size)
        files.append(f"full-{len(files):06}.parquet")
        write_table(f"{folder.uri}/{files[-1]}", pa.table(columns, schema=schema))
        rows += size
    failed = {"no_text": -(-rows // FAILED_EVERY)} if kind is PredictionRow else {}
    upstream = config.scripts if isinstance(config, ExtractConfig) else None
    inputs = {
        where.uri: where.finished().state for where in [Folder(upstream.folder) if upstream else catalog]
    }
    folder.write_run(config, files, inputs, rows, failed, 0)


def _blocks(catalog: Folder) -> Iterator[tuple[pa.Array, pa.Array]]:
    for table in catalog.tables(["video_id", "row_key"]):
        for at in range(0, table.num_rows, SEALED_ROWS):
            some = table.slice(at, SEALED_ROWS).combine_chunks()
            yield some["video_id"].combine_chunks(), some["row_key"].combine_chunks()


def scripts(start: int, size: int) -> dict[str, Any]:
    """Columns of ScriptRow."""
    texts = [
        f'SPEAKER: "{_LINES[i % 6]} {_LINES[i % 5]}"\n[CAPTIONS] part {i}' for i in range(start, start + size)
    ]
    return {
        "script": pa.array(texts),
        "caption": pa.array([f"Cooking, part {i} #fyp" for i in range(start, start + size)]),
        "seconds": pa.array(np.full(size, 30.0)),
        "model": pa.array(["made"] * size),
    }


def predictions(config: ExtractConfig, start: int, size: int) -> dict[str, Any]:
    """Columns of PredictionRow by an extractor that looks at a hash of nothing but the place; some rows fail."""
    bad = np.arange(start, start + size) % FAILED_EVERY == 0
    rng = np.random.default_rng([start, int(hashlib.sha256(config.system.encode()).hexdigest()[:8], 16)])
    scores = (rng.integers(0, 20, (size, len(LABELS))) / 20).astype(np.float32)
    offsets = np.zeros(size + 1, np.int32)
    offsets[1:] = np.cumsum(np.where(bad, 0, len(LABELS)))
    mask = pa.array(bad)

    def lists(values: np.ndarray) -> pa.ListArray:
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[~bad].ravel()), mask=mask)

    told = {"system": config.system, "label_set": "schwartz-19", "model": "made"}
    return {
        "scores": lists(scores),
        "decisions": lists(scores > 0.8),
        "abstained": pa.array(~(scores > 0.8).any(1), mask=bad),
        "error": pa.array(["no_text" if one else None for one in bad.tolist()], pa.string()),
        **{name: pa.array([text] * size) for name, text in told.items()},
    }


def write_scripts(config: ReportConfig) -> None:
    system = config.scores.predictions[0]
    assert isinstance(system, ExtractConfig)
    assert system.scripts is not None
    write_stage(system.scripts, Folder(config.scores.catalog.folder), ScriptRow, scripts)


def write_predictions(config: ReportConfig) -> None:
    system = config.scores.predictions[0]
    assert isinstance(system, ExtractConfig)
    catalog = Folder(config.scores.catalog.folder)
    write_stage(system, catalog, PredictionRow, lambda start, size: predictions(system, start, size))
