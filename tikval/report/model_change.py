"""A model that changes in mid-run: which ones answered the rows of a stage, and from which row on."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import AskingPart, ExtractConfig, JobConfig, ScriptConfig
from tikval.llm.ledger import Ledger
from tikval.store.folder import Folder

_LOOKED_UP: Final = 20_000  # rows whose time is looked up in the ledger: an object each
_AT_ONCE: Final = 32


class AnsweredRow(NamedTuple):
    models: tuple[str, ...]  # several where several samples were asked for
    keys: tuple[str, ...]  # of the ledger; (): nothing tells when it was answered


def model_change(job: JobConfig, folder: Folder) -> str | None:
    """Which models answered the rows of a stage that asks one, where they are more than one; None: they are not.

    Also of a version of the same model: gemini-x-001, then gemini-x-002. The rows are those of videos that the catalog
    lists, counted in the order of the replies, as the ledger has it, and in that of the folder where the ledger lacks
    one or there are more than 20,000.
    """
    part = getattr(job, "writer", None) or getattr(job, "extractor", None)
    if not isinstance(job, ScriptConfig | ExtractConfig) or not isinstance(part, AskingPart):
        return None
    if len(_names(folder)) < 2:  # nearly always: no row becomes an object
        return None
    rows = _answered(_listed(job, folder))
    if len({model for row in rows for model in row.models}) < 2:
        return None
    times = _times(folder, rows)
    if times is None:
        return f"{_sentence(rows)}; rows are counted in the order of the folder, not of the replies"
    in_order = [row for _, row in sorted(zip(times, rows, strict=True), key=lambda pair: pair[0])]
    return f"{_sentence(in_order)}; rows are counted in the order of the replies"


def _names(folder: Folder) -> set[str]:
    columns = (table["model_served"] for table in folder.tables(["model_served"]))
    found = {served for column in columns for served in pc.unique(column).to_pylist() if served}
    return {name for served in found for name in served.split(", ")}


def _listed(job: ScriptConfig | ExtractConfig, folder: Folder) -> pa.Table:
    """Who answered, of the videos that the catalog lists; of all where there is no catalog (any more)."""
    catalog = (job.videos if isinstance(job, ScriptConfig) else job.catalog).folder
    here = (
        f"{folder.uri.rpartition('/')[0]}/{catalog.rpartition('/')[2]}"  # wherever the study has been moved
    )
    keys = next((place.keys() for place in map(Folder, (here, catalog)) if place.run()), None)
    columns = ["model_served", "ledger_key"]
    return folder.read(columns) if keys is None else folder.read_listed(np.sort(keys), columns)


def _answered(table: pa.Table) -> list[AnsweredRow]:
    rows = zip(table["model_served"].to_pylist(), table["ledger_key"].to_pylist(), strict=True)
    return [
        AnsweredRow(tuple(served.split(", ")), tuple(keys.split())) if keys else AnsweredRow((served,), ())
        for served, keys in rows
        if served
    ]


def _times(folder: Folder, rows: Sequence[AnsweredRow]) -> list[str] | None:
    """When each row's first reply came, in ISO 8601; None where that of one is not known."""
    if len(rows) > _LOOKED_UP or not all(row.keys for row in rows):
        return None
    ledger = Ledger(folder.uri.rpartition("/")[0])

    def time(row: AnsweredRow) -> str | None:
        entries = [ledger.get(key) for key in row.keys]
        return min((entry.at for entry in entries if entry), default=None)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(time, rows))
    times = [each for each in found if each is not None]
    return times if len(times) == len(rows) else None


def _sentence(rows: Sequence[AnsweredRow]) -> str:
    first: dict[str, int] = {}
    count: dict[str, int] = {}
    for n, row in enumerate(rows, 1):
        for model in row.models:
            first.setdefault(model, n)
            count[model] = count.get(model, 0) + 1
    by = [f"by {name} from row {n:,} on ({count[name]:,} of {len(rows):,} rows)" for name, n in first.items()]
    return f"answered {', '.join(by)}"
