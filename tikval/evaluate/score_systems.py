"""Predictions and annotations -> scores with intervals, comparisons of systems, scores by genre: jobs/evaluate.py."""

import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from tikval.codebook import Codebook, load_codebook
from tikval.config import CombineConfig, EvaluateConfig, FinetuneConfig, UserError, find_file
from tikval.evaluate.answers import Answers, Truth, read_answers, read_trained, read_truth
from tikval.evaluate.development import without_development
from tikval.evaluate.evaluation import Evaluation, evaluate_systems
from tikval.files import delete, list_files, write_table
from tikval.rows import ComparisonRow, LabelRow, Reason, ScoreRow, SliceRow, arrow_schema
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun

_COLUMNS: Final = ["video_id", "error", "decisions", "scores", "split", "seed", "fold"]


def score_systems(config: EvaluateConfig) -> FolderRun:
    """Score every system on the annotated videos of the catalog; without annotations the table is empty."""
    folder, catalog, begin = Folder(config.folder), Folder(config.catalog.folder), time.monotonic()
    upstream = {system.system: Folder(system.folder) for system in config.predictions}
    if len(upstream) != len(config.predictions):
        raise UserError("predictions: two systems have the same name; give each its own `system`")
    with folder.lock():
        inputs = {source.uri: source.finished().state for source in (catalog, *upstream.values())}
        labels, development = without_development(catalog.read_side_table("labels"), catalog)
        if development:
            inputs[development.folder.uri] = development.run.state
        before = folder.run()
        if before and before.inputs == inputs:
            return before
        codebook = _codebook(config)
        study = evaluation_of(config, codebook, labels, catalog, upstream)
        if config.draws is not None:
            study.notes.append("draws: does nothing any more, as intervals are not drawn; take the line out")
        if development:
            study.notes.append(f"development sample: {development.about}")
        for note in study.notes:
            print(f"tikval: note: {note}", file=sys.stderr)
        old = list_files(folder.uri, ".parquet", include_side_tables=True)
        name = _write(folder, "data", ScoreRow, study.scores)
        side_tables = {
            "comparisons": _write(folder, "_comparisons", ComparisonRow, study.comparisons),
            "slices": _write(folder, "_slices", SliceRow, study.slices),
        }
        seconds = time.monotonic() - begin
        done = folder.write_run(config, [name], inputs, len(study.scores), {}, seconds, side_tables)
        for file in old:
            delete(f"{folder.uri}/{file}")
        return done


def evaluation_of(
    config: EvaluateConfig,
    codebook: Codebook,
    labels: Sequence[LabelRow],
    catalog: Folder,
    upstream: Mapping[str, Folder],
) -> Evaluation:
    """All that is reported of the systems whose folders `upstream` names; `labels`: those that scores may use.

    Raises UserError for annotations that cannot be scored.
    """
    labelled = [row for row in labels if row["label_set"] == codebook.label_set]
    ids = {row["video_id"] for row in labelled}
    about = catalog.read_videos(ids, ["video_id", "account", "genre", "error"]).to_pylist()
    # the later one of two rows with one id describes no video
    videos = {row["video_id"]: row for row in about if row["error"] != Reason.DUPLICATE_ID}
    annotated = [row for row in labelled if row["video_id"] in videos]
    try:
        truth = read_truth(
            annotated,
            codebook.labels,
            config.min_share,
            config.annotator,
            min_positives=config.min_positives,
            averaged=config.labels,
        )
        found = evaluate_systems(
            [_answers(system, upstream[system.system], catalog, truth) for system in config.predictions],
            truth,
            annotated,
            annotator=config.annotator,
            genres={video: row["genre"] for video, row in videos.items()},
            permutations=config.permutations,
            seed=config.seed,
        )
    except ValueError as err:
        raise UserError(str(err)) from err
    if truth.not_annotated:
        found.notes.append(f"not annotated, so not scored: {', '.join(truth.not_annotated)}")
    return found


def _codebook(config: EvaluateConfig) -> Codebook:
    """The one codebook of the systems. Raises UserError where they have several."""
    try:
        books = {
            each: load_codebook(find_file(each)) for each in {one.codebook for one in config.predictions}
        }
    except ValueError as err:
        raise UserError(str(err)) from err
    first = books[config.predictions[0].codebook]
    for system in config.predictions:
        if (other := books[system.codebook]).labels != first.labels or other.label_set != first.label_set:
            raise UserError(
                f"predictions: {system.system} is over {other.label_set}, {config.predictions[0].system} over "
                f"{first.label_set}; score each codebook by itself"
            )
    return first


def _answers(recipe: Any, source: Folder, catalog: Folder, truth: Truth) -> Answers:
    first = recipe.trained_systems[0] if isinstance(recipe, CombineConfig) else recipe
    trained = isinstance(
        first, FinetuneConfig
    )  # on the annotated videos alone; its failures are dealt out to folds
    rows = source.rows(catalog, None if trained else truth.ids, _COLUMNS)
    rows = [row for row in rows if row["error"] != Reason.DUPLICATE_ID]
    if isinstance(first, FinetuneConfig):
        return read_trained(rows, truth, recipe.system, by_fold=first.protocol.name == "paper")
    return read_answers(rows, truth, recipe.system)


def _write(folder: Folder, kind: str, row_type: type, rows: list[Any]) -> str:
    name = f"{kind}-{secrets.token_hex(8)}.parquet"
    write_table(f"{folder.uri}/{name}", pa.Table.from_pylist(rows, schema=arrow_schema(row_type)))
    return name
