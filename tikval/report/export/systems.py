"""The systems of a study and their rows, as exports read them: ids and stances, file by file.

Shape letters: R rows of one file, V values, L = 2V labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tikval.codebook import Codebook, load_codebook
from tikval.config import UserError, find_file
from tikval.stats.arrays import Bools, Floats32
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
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
class ExportedSystem:
    """A finished system whose codebook is the one that it ran with."""

    system: str
    folder: Folder
    run: FolderRun
    config: SystemConfig
    codebook: Codebook

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Its rows file by file, with `row_key`, so that no more than one file's lists are in memory."""
        return self.folder.tables([*columns, "row_key"])


@dataclass(frozen=True)
class Exported(ExportedSystem):
    """The predictions of one system, a line per video and answer."""

    table: pa.Table  # ABOUT, and V values as int8
    modelled: Bools  # [L]


def current_systems(study: Study) -> list[tuple[Folder, FolderRun]]:
    """The runs that every command shows, by the systems' names."""
    return [pair for _, pair in sorted(study.systems().items())]


def open_systems(study: Study, only: Sequence[str] = ()) -> list[ExportedSystem]:
    """Every system of a study, or some, by name. Raises UserError for one that is not there, or has changed since."""
    runs = current_systems(study)
    names = sorted({run.config["system"] for _, run in runs})
    if not runs:
        raise UserError(f"{study.out}: no system has finished yet")
    if unknown := sorted(set(only) - set(names)):
        raise UserError(f"{study.out}: no system {unknown[0]}; there are {', '.join(names)}")
    found = []
    for folder, run in runs:
        system = run.config["system"]
        if only and system not in only:
            continue
        try:
            config = system_config(run)
        except UserError as err:
            others = [f"--system {name}" for name in names if name != system]
            hint = f", or leave it out: {' '.join(others)}" if others else ""
            raise UserError(f"{err}{hint}") from err
        found.append(ExportedSystem(system, folder, run, config, load_codebook(find_file(config.codebook))))
    return found


def read_systems(study: Study, only: Sequence[str] = ()) -> list[Exported]:
    """The same with their rows, in memory: ids and stances only."""
    found = []
    wanted: NDArray[Any] | None = None
    for each in open_systems(study, only):
        if wanted is None and not has_texts(each.config):
            wanted = study.catalog().sorted_keys()
        found.append(_read(each, None if has_texts(each.config) else wanted))
    return found


def in_one(tables: Sequence[pa.Table]) -> pa.Table:
    """The lines of all systems in order; of several codebooks, the values of each."""
    joined = pa.concat_tables(tables, promote_options="default")
    return joined.sort_by([(name, "ascending") for name in _LINES])


def _read(each: ExportedSystem, wanted: NDArray[Any] | None) -> Exported:
    """`wanted`: sorted keys; None: all."""
    tables, modelled = [], np.zeros(len(each.codebook.labels), bool)
    columns = [*(name for name in ABOUT.names if name != "system"), "decisions", "scores"]
    for rows in each.tables(columns):
        if wanted is not None:
            rows = rows.filter(pa.array(contains(wanted, keys_of(rows["row_key"]))))
        answers = answers_in(rows, each)
        rows = rows.append_column("system", pa.array([each.system] * rows.num_rows, pa.string()))
        about = [rows[field.name].cast(field.type) for field in ABOUT]
        names = [*ABOUT.names, *each.codebook.slugs]
        tables.append(pa.table([*about, *answers.stances()], names=names))
        modelled |= answers.known.any(0)
    return Exported(**vars(each), table=pa.concat_tables(tables), modelled=modelled)


@dataclass(frozen=True)
class RowAnswers:
    """The labels of some rows as arrays; a failure has none."""

    predicted: Bools  # [R, L]
    known: Bools  # [R, L] whether the row has this label
    scores: Floats32  # [R, L] NaN: there is none

    def stances(self) -> list[pa.Array]:
        """A column for each of V values, int8, as tikval.values.stances has them; null where no label is known."""
        yes, no = np.split(self.predicted, 2, axis=1)
        more = np.greater_equal(*np.split(np.nan_to_num(self.scores), 2, axis=1))
        stances_RV = np.where(yes & no, np.where(more, 1, -1), yes.astype(np.int8) - no).astype(np.int8)
        unknown_RV = ~np.logical_or(*np.split(self.known, 2, axis=1))
        return [
            pa.array(stances, mask=unknown)
            for stances, unknown in zip(stances_RV.T, unknown_RV.T, strict=True)
        ]


def answers_in(rows: pa.Table, each: ExportedSystem) -> RowAnswers:
    """Decisions and scores of rows. Raises UserError for a result that does not have the codebook's labels."""
    n_labels, where = len(each.codebook.labels), each.folder.uri
    good_R = np.asarray(rows["error"].is_null().to_numpy(), bool)
    predicted_RL, known_RL = (np.zeros((rows.num_rows, n_labels), bool) for _ in range(2))
    scores_RL = np.full((rows.num_rows, n_labels), np.nan, np.float32)
    if good_R.any():
        flat = _flat(rows["decisions"].filter(pa.array(good_R)), n_labels, where)
        predicted_RL[good_R] = pc.fill_null(flat, False).to_numpy(zero_copy_only=False).reshape(-1, n_labels)
        known_RL[good_R] = flat.is_valid().to_numpy(zero_copy_only=False).reshape(-1, n_labels)
        scored_R = good_R & np.asarray(rows["scores"].is_valid().to_numpy(), bool)
        flat = _flat(rows["scores"].filter(pa.array(scored_R)), n_labels, where)
        scores_RL[scored_R] = flat.to_numpy(zero_copy_only=False).reshape(-1, n_labels)
    return RowAnswers(predicted_RL, known_RL, scores_RL)


def _flat(column: pa.ChunkedArray, n_labels: int, where: str) -> pa.Array:
    lists = column.combine_chunks()
    lengths = pc.unique(pc.list_value_length(lists)).to_pylist()
    if lengths not in ([], [n_labels]):
        raise UserError(
            f"{where}: a result does not have {n_labels} labels; run the job that writes it again"
        )
    return lists.flatten()
