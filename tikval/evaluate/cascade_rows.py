"""The predictions of a cascade out of those of its two systems: every video once, and who answered it.

A failure of the strong system that may pass is the cascade's failure, and tried again. Where it cannot or may not judge
a video, the cheap system's answer stands, marked as that.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.files import write_table
from tikval.rows import AnsweredBy, PredictionRow, Reason, arrow_schema
from tikval.stats.arrays import Bools, Floats
from tikval.store.folder import Folder
from tikval.store.row_keys import contains, keys_of

Answers = Callable[
    [Floats], Bools
]  # of videos that stay: [N, L] scores -> the cheap system's answers, recalibrated
_SCHEMA: Final = arrow_schema(PredictionRow)
_FINAL: Final = [*(reason.value for reason in Reason if reason.terminal), Reason.MINOR.value]


def write_rows(
    folder: Folder,
    system: str,
    listed: np.ndarray,
    cheap: Folder,
    strong: Folder,
    asked: np.ndarray,
    answers: Answers,
) -> tuple[list[str], Counter[str], Counter[str]]:
    """Write the cascade's rows of the listed videos, S16 sorted, file by file.

    `asked`: S16 sorted, those of which the strong system was asked. Returns the files' names, how many videos each
    AnsweredBy has, and the failures by reason. Raises UserError where one of the systems lacks a row.
    """
    theirs = strong.read_listed(asked)
    if theirs.num_rows != len(asked):
        raise UserError(
            f"{strong.uri}: {len(asked) - theirs.num_rows} answers are missing; run the same command again"
        )
    cannot = pc.fill_null(pc.is_in(theirs["error"], pa.array(_FINAL)), False)
    instead = np.sort(keys_of(theirs.filter(cannot)["row_key"]))
    files, by, failed = list[str](), Counter[str](), Counter[str]()
    n_rows, judged = 0, np.empty(0, "S16")

    def write(table: pa.Table) -> None:
        nonlocal n_rows
        if table.num_rows or not files:
            files.append(f"data-{secrets.token_hex(8)}.parquet")
            write_table(f"{folder.uri}/{files[-1]}", table.sort_by("video_id"))
            n_rows += table.num_rows
            by.update(table["answered_by"].drop_null().to_pylist())
            failed.update(table["error"].drop_null().to_pylist())

    for table in _among(cheap, listed):
        keys = keys_of(table["row_key"])
        mine = ~contains(asked, keys) | (contains(instead, keys) & pc.is_null(table["error"]).to_numpy())
        judged = np.concatenate([judged, keys[mine]])
        write(_of_cheap(table.filter(pa.array(mine)), system, instead, answers))
    write(_of_strong(theirs.filter(pa.array(~contains(np.sort(judged), keys_of(theirs["row_key"])))), system))
    if n_rows != len(listed):
        raise UserError(f"{cheap.uri}: older than the catalog; run the job that writes it first")
    return files, by, failed


def _among(folder: Folder, listed: np.ndarray) -> Iterator[pa.Table]:
    for table in folder.tables():
        yield table.filter(pa.array(contains(listed, keys_of(table["row_key"]))))


def _of_cheap(table: pa.Table, system: str, instead: np.ndarray, answers: Answers) -> pa.Table:
    """The cheap system's rows as the cascade's: answers recalibrated, and no scores of another meaning beside them."""
    good = pc.is_null(table["error"]).to_numpy()
    scores = table["scores"].combine_chunks().filter(pa.array(good))
    decisions: list[list[bool] | None] = [None] * table.num_rows
    abstained: list[bool | None] = [None] * table.num_rows
    if good.any():
        flat = scores.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
        predicted = answers(np.asarray(flat, np.float64).reshape(int(good.sum()), -1))
        for place, row in zip(np.flatnonzero(good), predicted.tolist(), strict=True):
            decisions[place], abstained[place] = row, not any(row)
    where = contains(instead, keys_of(table["row_key"]))
    kinds = (AnsweredBy.CHEAP.value, AnsweredBy.CHEAP_INSTEAD.value)
    by = [kinds[int(up)] if one else None for one, up in zip(good, where, strict=True)]
    return _with(
        table,
        system=[system] * table.num_rows,
        decisions=decisions,
        scores=[None] * table.num_rows,
        stances=[None] * table.num_rows,
        abstained=abstained,
        answered_by=by,
    )


def _of_strong(table: pa.Table, system: str) -> pa.Table:
    good = pc.is_null(table["error"]).to_numpy()
    return _with(
        table,
        system=[system] * table.num_rows,
        scores=[None] * table.num_rows,
        answered_by=[AnsweredBy.STRONG.value if one else None for one in good],
    )


def _with(table: pa.Table, **columns: Sequence[object]) -> pa.Table:
    """The table with some columns in the place of its own."""
    made = [
        pa.chunked_array([pa.array(columns[field.name], field.type)])
        if field.name in columns
        else table[field.name]
        for field in _SCHEMA
    ]
    return pa.table(made, schema=_SCHEMA)
