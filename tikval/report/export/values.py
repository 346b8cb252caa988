"""Results for other tools: one line per video and answer of a system, or per value of it; and the scores.

Made some rows at a time, so that a corpus of any size passes through little memory. Shape letters: R rows, V values,
L = 2V labels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tikval.config import UserError
from tikval.report.export.columns import (
    ANNOTATION,
    LINE,
    LONG,
    SCORES,
    STANCE,
    THRESHOLDS,
    TIME,
    VIDEO,
    WIDE,
    documented_schema,
    expanded,
    score_columns,
)
from tikval.report.export.dataset_facts import public_name
from tikval.report.export.evidence import Evidence
from tikval.report.export.posts import Annotations, Posts
from tikval.report.export.systems import ExportedSystem, RowAnswers, answers_in, open_systems
from tikval.report.score_meaning import ScoreMeaning, score_meaning_of
from tikval.stats.arrays import Floats
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import Study, has_texts
from tikval.values import Stance

_OF_A_ROW: Final = (
    "video_id",
    "label_set",
    "split",
    "fold",
    "seed",
    "sample",
    "votes",
    "agreement",
    "language",
    "translated",
    "answered_by",
    "error",
    "model",
    "model_served",
)
_READ: Final = (*_OF_A_ROW, "decisions", "scores", "stances")
_WIDE_ROWS, _LONG_ROWS = 2**15, 2**12  # of results, that are made lines of at once


@dataclass(frozen=True)
class Export:
    """A table that is about to be written."""

    name: str
    schema: pa.Schema  # with what each column is
    rows: int
    tables: Callable[[], Iterator[pa.Table]]  # some lines at a time


class Values:
    """What the systems of a study predict, with all that is known of the videos."""

    def __init__(
        self, study: Study, only: Sequence[str] = (), *, names: bool = False, annotator: str | None = None
    ) -> None:
        """Raises UserError where no system has finished, or one has changed since, and for an unknown annotator.

        `names`: ids, accounts and captions as they are, also where they name somebody.
        """
        self._study, self.names = study, names
        self.systems = open_systems(study, only)
        of_videos = any(not has_texts(each.config) for each in self.systems)
        self.posts = Posts(study, names=names) if of_videos else None
        self.annotations = Annotations(study, {each.codebook.label_set for each in self.systems}, annotator)
        self.slugs = tuple(dict.fromkeys(slug for each in self.systems for slug in each.codebook.slugs))

    def wide(self) -> Export:
        """One line per video and answer."""
        schema = documented_schema(expanded(WIDE, self.slugs))
        return Export(
            "values", schema, self._n_rows(), lambda: self._tables(schema, _wide_columns, _WIDE_ROWS)
        )

    def long(self) -> Export:
        """One line per video, answer and value."""
        schema = documented_schema(LONG)
        n_lines = sum(len(each.codebook.slugs) * self._rows_of(each) for each in self.systems)
        read = (*_READ, "evidence")
        return Export("long", schema, n_lines, lambda: self._tables(schema, _long_columns, _LONG_ROWS, read))

    def _n_rows(self) -> int:
        return sum(map(self._rows_of, self.systems))

    def _rows_of(self, each: ExportedSystem) -> int:
        return sum(self._listed(each, rows).num_rows for rows in each.tables([]))

    def _listed(self, each: ExportedSystem, rows: pa.Table) -> pa.Table:
        return rows if has_texts(each.config) or self.posts is None else self.posts.among(rows)

    def _tables(
        self, schema: pa.Schema, make: "Make", size: int, read: Sequence[str] = _READ
    ) -> Iterator[pa.Table]:
        for each in self.systems:
            evidence = Evidence(self._study, each, names=self.names)
            scores = score_meaning_of(each.folder, each.config, each.codebook)
            for table in each.tables(read):
                listed = self._listed(each, table)
                for start in range(0, listed.num_rows, size):
                    rows = listed.slice(start, size)
                    answers = answers_in(rows, each)
                    thresholds_RL = np.where(
                        answers.known, _thresholds(rows, scores, answers.known.shape[1]), np.nan
                    )
                    lines = Lines(each, rows, answers, thresholds_RL, self.annotations, evidence)
                    yield _as_schema(make(self._about(each, rows, scores), lines), schema)

    def _about(self, each: ExportedSystem, rows: pa.Table, scores: ScoreMeaning) -> dict[str, Any]:
        """The columns that stand before the values."""
        n = rows.num_rows
        videos = {} if has_texts(each.config) or self.posts is None else self.posts.columns_of(rows)
        run: dict[str, Any] = {
            "system": each.system,
            "codebook_version": each.codebook.version,
            "score_kind": scores.kind,
            "recipe": each.run.fingerprint,
            "tikval": each.run.tikval,
            "finished_at": datetime.fromisoformat(each.run.finished_at),
        }
        types = {name: kind for name, kind, _ in LINE}
        constant = {name: pa.repeat(pa.scalar(value, types[name]), n) for name, value in run.items()}
        shown = {
            name: rows[name] if self.names else _public(rows[name]) for name in ("model", "model_served")
        }
        found = {name: rows[name] for name in _OF_A_ROW} | shown | constant | videos
        return {name: found[name] for name, *_ in (*VIDEO, *LINE) if name in found}


@dataclass(frozen=True)
class Lines:
    """Some rows of one system, as arrays."""

    of: ExportedSystem
    rows: pa.Table  # [R]
    answers: RowAnswers
    thresholds: Floats  # [R, L] NaN: there is none
    annotations: Annotations
    evidence: Evidence

    def stance_codes(self) -> list[pa.Array]:
        return self.annotations.columns_of(self.rows, self.of.codebook)


Make = Callable[
    [dict[str, Any], Lines], dict[str, Any]
]  # the columns of a table, from those before the values


def _as_schema(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """A table of the schema from those of its columns that there are."""
    n = len(next(iter(columns.values())))
    made = [columns.get(field.name, pa.nulls(n, field.type)).cast(field.type) for field in schema]
    return pa.table(made, schema=schema)


def _thresholds(rows: pa.Table, scores: ScoreMeaning, n_labels: int) -> Floats:
    """The thresholds of each row, [R, L], or of all of them, [1, L]; NaN: there is none, or it is not known."""

    def of(row: dict[str, Any]) -> Floats:
        return np.array(scores.of_row(row) or [None] * n_labels, np.float64)

    trainings = rows.select(["split", "fold", "seed"])
    if trainings.group_by(trainings.column_names).aggregate([]).num_rows == 1:
        return of(trainings.slice(0, 1).to_pylist()[0])[None]
    return np.stack([of(row) for row in trainings.to_pylist()])


def _public(models: pa.ChunkedArray) -> pa.Array:
    """Names of models without the folders that some were loaded from."""
    coded = models.combine_chunks().dictionary_encode()
    return pa.array([public_name(name) for name in coded.dictionary.to_pylist()], pa.string()).take(
        coded.indices
    )


def _wide_columns(about: dict[str, Any], lines: Lines) -> dict[str, Any]:
    half = len(lines.of.codebook.slugs)
    made = dict(about)
    for v, (slug, stances, annotation) in enumerate(
        zip(lines.of.codebook.slugs, lines.answers.stances(), lines.stance_codes(), strict=True)
    ):
        made |= {STANCE.of_value(slug).name: stances, ANNOTATION.of_value(slug).name: annotation}
        for place, score, threshold in zip((v, half + v), SCORES, THRESHOLDS, strict=True):
            made[score.of_value(slug).name] = _numbers(lines.answers.scores[:, place])
            made[threshold.of_value(slug).name] = _numbers(lines.thresholds[:, place])
    return made


def _long_columns(about: dict[str, Any], lines: Lines) -> dict[str, Any]:
    slugs, n = lines.of.codebook.slugs, lines.rows.num_rows
    at = pa.array(np.repeat(np.arange(n), len(slugs)))
    made = {name: column.take(at) for name, column in about.items()}
    made["value"] = pa.array(list(slugs), pa.string()).take(pa.array(np.tile(np.arange(len(slugs)), n)))
    made["stance"] = stances = _interleaved(lines.answers.stances())
    made["annotation"] = _interleaved(lines.stance_codes())
    made["dominant"] = _dominant(lines)
    for name, of_RL in (("score", lines.answers.scores), ("threshold", lines.thresholds)):
        endorsed_RV, confronted_RV = np.split(of_RL, 2, axis=1)
        made[f"endorsed_{name}"] = _numbers(endorsed_RV.ravel())
        made[f"confronted_{name}"] = _numbers(confronted_RV.ravel())
    return made | lines.evidence.columns_of(lines.rows, stances)


def _dominant(lines: Lines) -> pa.Array:
    """Whether a language model calls each value dominant, [R * V]; null where it gave no stances."""
    n_values = len(lines.of.codebook.slugs)
    dominant_RV = np.zeros((lines.rows.num_rows, n_values), bool)
    column = lines.rows["stances"].combine_chunks()
    has_R = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), bool)
    if has_R.any():
        flat = column.drop_null().flatten().to_numpy(zero_copy_only=False)
        dominant_RV[has_R] = (flat == Stance.DOMINANT).reshape(-1, n_values)
    return pa.array(dominant_RV.ravel(), mask=np.repeat(~has_R, n_values))


def _interleaved(columns: list[pa.Array]) -> pa.Array:
    """Columns [R] of V values as one column [R * V], row by row."""
    flat = pa.concat_arrays(columns)
    n = len(columns[0])
    return flat.take(pa.array(np.arange(n * len(columns)).reshape(len(columns), n).T.ravel()))


def _numbers(values: Any) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def export_table(study: Study, only: Sequence[str] = (), names: bool = False) -> pa.Table:
    """The wide form in memory."""
    export = Values(study, only, names=names).wide()
    tables = list(export.tables())
    return pa.concat_tables(tables) if tables else export.schema.empty_table()


def has_scores(study: Study) -> bool:
    """Whether anything was scored over the picked codebook."""
    return any(_is_evaluation(study, folder, run) and run.rows for folder, run in study.runs)


def scores_export(study: Study) -> Export:
    """The lines of every evaluation over the picked codebook, behind its recipe and date; empty where it lacks one.

    Raises UserError where there are none.
    """
    schema = documented_schema(score_columns())
    tables = []
    for folder, run in sorted(study.runs, key=lambda pair: pair[1].finished_at):
        if _is_evaluation(study, folder, run):
            table = folder.read()
            finished = datetime.fromisoformat(run.finished_at)
            about = {
                "recipe": pa.repeat(pa.scalar(run.fingerprint), table.num_rows),
                "scored_at": pa.repeat(pa.scalar(finished, TIME), table.num_rows),
            }
            tables.append(
                _as_schema(about | dict(zip(table.column_names, table.columns, strict=True)), schema)
            )
    rows = sum(table.num_rows for table in tables)
    if not rows:
        raise UserError(
            f"{study.out}: no scores; name annotations in the catalog's configuration and run jobs.evaluate"
        )
    return Export("scores", schema, rows, lambda: iter(tables))


def _is_evaluation(study: Study, folder: Folder, run: FolderRun) -> bool:
    return run.stage == "scores" and bool(run.files) and study.label_set_of(folder, run) == study.label_set


def stale_scores(study: Study) -> list[str]:
    """Recipes of evaluations whose predictions or annotations have changed since."""
    runs = [run for folder, run in study.runs if _is_evaluation(study, folder, run)]
    return [run.fingerprint for run in runs if not study.reads_what_is_there(run)]
