"""Results for other tools: one line per video and answer of a system, ids and stances only; and the scores.

Shape letters: R rows of one file, V values, L = 2V labels.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tikval.codebook import Codebook, load_codebook
from tikval.config import UserError, find_file
from tikval.files import write_bytes
from tikval.report.shown_ids import show_ids, shown_ids
from tikval.spreadsheet import csv_of_table
from tikval.stats.arrays import Bools
from tikval.store.folder import Folder, FolderRun
from tikval.store.row_keys import contains, keys_of
from tikval.store.runs import Study, SystemConfig, has_texts, system_config

# a line is unique by all of these but the last; the four in the middle are mostly empty
ABOUT: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("video_id", "system", "split")),
        *((name, pa.int64()) for name in ("fold", "seed", "sample")),
        ("error", pa.string()),
    ]
)
_LINES: Final = ("system", "video_id", "split", "seed", "fold", "sample")  # in this order


@dataclass(frozen=True)
class Exported:
    """The predictions of one system, a line per video and answer."""

    system: str
    folder: Folder
    run: FolderRun
    config: SystemConfig
    codebook: Codebook
    table: pa.Table  # ABOUT, and V values as int8
    modelled: Bools  # [L]


def read_systems(study: Study, only: Sequence[str] = ()) -> list[Exported]:
    """Every system of a study, or some, by name. Raises UserError for one that is not there, or has changed since."""
    systems = study.systems()
    if not systems:
        raise UserError(f"{study.out}: no system has finished yet")
    if unknown := sorted(set(only) - systems.keys()):
        raise UserError(f"{study.out}: no system {unknown[0]}; there are {', '.join(sorted(systems))}")
    found = []
    wanted: NDArray[Any] | None = None
    for system in sorted(set(only) or systems):
        folder, run = systems[system]
        try:
            config = system_config(run)
        except UserError as err:
            others = [f"--system {name}" for name in sorted(systems) if name != system]
            hint = f", or leave it out: {' '.join(others)}" if others else ""
            raise UserError(f"{err}{hint}") from err
        codebook = load_codebook(find_file(config.codebook))
        if wanted is None and not has_texts(config):
            wanted = np.sort(study.catalog().keys())
        table, modelled = _read(folder, None if has_texts(config) else wanted, codebook, system)
        found.append(Exported(system, folder, run, config, codebook, table, modelled))
    return found


def export_table(study: Study, only: Sequence[str] = (), names: bool = False) -> pa.Table:
    """ABOUT, and the V values as int8: null where a system does not model one, or failed.

    `names`: ids as they are, also where they name somebody.
    """
    table = in_one([exported.table for exported in read_systems(study, only)])
    return table if names else show_ids(table, shown_ids(study))


def in_one(tables: Sequence[pa.Table]) -> pa.Table:
    """The lines of all systems in order; of several codebooks, the values of each."""
    joined = pa.concat_tables(tables, promote_options="default")
    return joined.sort_by([(name, "ascending") for name in _LINES])


def _read(
    folder: Folder, wanted: NDArray[Any] | None, codebook: Codebook, system: str
) -> tuple[pa.Table, Bools]:
    """Read file by file, so that no more than one file's lists are in memory. `wanted`: sorted keys; None: all."""
    columns = [*(name for name in ABOUT.names if name != "system"), "row_key", "decisions", "scores"]
    tables, modelled = [], np.zeros(len(codebook.labels), bool)
    for rows in folder.tables(columns):
        if wanted is not None:
            rows = rows.filter(pa.array(contains(wanted, keys_of(rows["row_key"]))))
        predicted_RV, known_RL = _stances(rows, len(codebook.labels), folder.uri)
        half = len(codebook.slugs)
        unknown_RV = ~(known_RL[:, :half] | known_RL[:, half:])
        rows = rows.append_column("system", pa.array([system] * rows.num_rows, pa.string()))
        about = [rows[field.name].cast(field.type) for field in ABOUT]
        values = [pa.array(predicted_RV[:, v], mask=unknown_RV[:, v]) for v in range(half)]
        tables.append(pa.table([*about, *values], names=[*ABOUT.names, *codebook.slugs]))
        modelled |= known_RL.any(0)
    return pa.concat_tables(tables), modelled


def _stances(rows: pa.Table, n_labels: int, where: str) -> tuple[NDArray[np.int8], Bools]:
    """Stances as tikval.values.stances has them, int8 [R, V], and the labels a row has, [R, L]; a failure: 0, none."""
    good_R = np.asarray(rows["error"].is_null().to_numpy(), bool)
    predicted_RL, known_RL = (np.zeros((rows.num_rows, n_labels), bool) for _ in range(2))
    scores_RL = np.zeros((rows.num_rows, n_labels), np.float32)
    if good_R.any():
        flat = _flat(rows["decisions"].filter(pa.array(good_R)), n_labels, where)
        predicted_RL[good_R] = pc.fill_null(flat, False).to_numpy(zero_copy_only=False).reshape(-1, n_labels)
        known_RL[good_R] = flat.is_valid().to_numpy(zero_copy_only=False).reshape(-1, n_labels)
        scored_R = good_R & np.asarray(rows["scores"].is_valid().to_numpy(), bool)
        flat = _flat(rows["scores"].filter(pa.array(scored_R)), n_labels, where)
        scores_RL[scored_R] = pc.fill_null(flat, 0.0).to_numpy(zero_copy_only=False).reshape(-1, n_labels)
    yes, no = np.split(predicted_RL, 2, axis=1)
    more = np.greater_equal(*np.split(scores_RL, 2, axis=1))
    stances: NDArray[np.int8] = np.where(yes & no, np.where(more, 1, -1), yes.astype(np.int8) - no)
    return stances.astype(np.int8), known_RL


def _flat(column: pa.ChunkedArray, n_labels: int, where: str) -> pa.Array:
    lists = column.combine_chunks()
    lengths = pc.unique(pc.list_value_length(lists)).to_pylist()
    if lengths not in ([], [n_labels]):
        raise UserError(
            f"{where}: a result does not have {n_labels} labels; run the job that writes it again"
        )
    return lists.flatten()


def scores_table(study: Study) -> pa.Table:
    """The lines of every evaluation that has finished, behind its recipe and date; empty where one lacks a column.

    Raises UserError where there are none.
    """
    tables = []
    for folder, run in sorted(study.runs, key=lambda pair: pair[1].finished_at):
        if run.stage == "scores" and run.files:
            table = folder.read()
            about = (("recipe", run.fingerprint), ("scored_at", run.finished_at))
            for place, (name, text) in enumerate(about):
                table = table.add_column(place, name, pa.array([text] * table.num_rows, pa.string()))
            tables.append(table)
    if not sum(table.num_rows for table in tables):
        raise UserError(
            f"{study.out}: no scores; name annotations in the catalog's configuration and run jobs.evaluate"
        )
    return pa.concat_tables(tables, promote_options="permissive")


def stale_scores(study: Study) -> list[str]:
    """Recipes of evaluations whose predictions or annotations have changed since."""
    runs = [run for _, run in study.runs if run.stage == "scores" and run.files]
    return [run.fingerprint for run in runs if not study.reads_what_is_there(run)]


def write_export(table: pa.Table, file: Path) -> None:
    """Write the table in the form that the suffix names. Raises UserError for another one."""
    sink = pa.BufferOutputStream()
    match file.suffix:
        case ".parquet":
            pq.write_table(table, sink)
        case ".csv":
            sink.write(csv_of_table(table))
        case ".jsonl":
            for batch in table.to_batches(max_chunksize=10_000):
                for row in batch.to_pylist():
                    sink.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
        case _:
            raise UserError(f"{file}: the name must end in .csv, .parquet or .jsonl")
    try:
        write_bytes(str(file), sink.getvalue())
    except OSError as err:
        raise UserError(f"{file}: cannot be written ({err.strerror})") from err
