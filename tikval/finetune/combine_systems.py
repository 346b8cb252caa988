"""Predictions of several systems -> predictions of them as one: the arrow of jobs/combine.py.

Shape letters: N rows that a partition's folds test, L trained labels, A labels of the set.
"""

import json
import secrets
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tikval.config import CombineConfig, ExtractConfig, FinetuneConfig, UserError
from tikval.files import delete, list_files, read_bytes, write_bytes, write_table
from tikval.finetune.combine import (
    Decided,
    ScoredFold,
    averaged,
    decide_fold,
    ensemble,
    features,
    out_of_fold,
)
from tikval.finetune.examples import Examples
from tikval.finetune.inputs import inputs_of, load_examples
from tikval.finetune.prediction_rows import answers_of, mean_of_seeds, prediction_columns
from tikval.rows import PredictionRow, arrow_schema
from tikval.stats.arrays import Bools, Floats
from tikval.stats.folds import Fold, folds_hash, from_json, groups_of
from tikval.stats.thresholds import brier, ece
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun


def combine_systems(config: CombineConfig) -> FolderRun:
    """Combine the systems' predictions for held-out rows, by partition; a second run returns immediately."""
    folder, begin, first = Folder(config.folder), time.monotonic(), config.trained_systems[0]
    names = [system.system for system in config.systems]
    if len(set(names)) < len(names):
        raise UserError("systems: two have the same name; give each its own `system`")
    upstream = [Folder(system.folder) for system in config.systems]
    upstream += [Folder(system.catalog.folder) for system in config.systems if not _has_texts(system)]
    try:
        examples = load_examples(first)
        inputs = {source.uri: source.finished().state for source in upstream} | inputs_of(first, examples)
        with folder.lock():
            before = folder.run()
            if before and before.inputs == inputs:
                return before
            folds, combine = _folds(config), Combine(config, examples)
            numbers = sorted({fold.partition for fold in folds})
            made = [combine([fold for fold in folds if fold.partition == number]) for number in numbers]
            return _write(folder, config, folds_hash(folds), made, inputs, begin)
    except ValueError as err:
        raise UserError(f"{config.system}: {' '.join(str(err).split())[:500]}") from err


def _has_texts(system: FinetuneConfig | ExtractConfig) -> bool:
    return isinstance(system, FinetuneConfig) and system.texts is not None


def _rows(system: FinetuneConfig | ExtractConfig, examples: Examples) -> list[Any]:
    """A system's predictions for every row that is still there; of one that judges all videos those of the examples."""
    folder = Folder(system.folder)
    if _has_texts(system):
        rows: list[Any] = folder.read().to_pylist()
        return rows
    only = None if isinstance(system, FinetuneConfig) else {*examples.ids, *examples.failed}
    return folder.rows(Folder(system.catalog.folder), only)


def _folds(config: CombineConfig) -> list[Fold]:
    """The folds that all trained systems share. Raises UserError where these differ, or leave nothing to choose on."""
    of: dict[str, list[Fold]] = {}
    for system in config.trained_systems:
        kept = read_bytes(f"{system.folder}/folds.json")
        if kept is None:
            raise UserError(f"{system.folder}: has no folds.json; run jobs.finetune again")
        of[system.system] = from_json(kept.decode())
    (name, folds), *others = of.items()
    for other, its in others:
        if folds_hash(its) != folds_hash(folds):
            raise UserError(
                f"{name} and {other} were trained on different folds ({folds_hash(folds)}, {folds_hash(its)}): "
                "give both the same rows, annotations, `labels` and `protocol`"
            )
    chosen = {
        "how: regression": config.how == "regression",
        f"threshold: {config.threshold}": isinstance(config.threshold, str),
        "calibrate: true": config.calibrate,
    }
    if not any(fold.fold for fold in folds) and any(chosen.values()):
        wanted = ", ".join(key for key, yes in chosen.items() if yes)
        raise UserError(
            f"{name} was trained on a single split, so no other fold's scores can choose for its test rows "
            f"({wanted}): take how: mean, a threshold that is a number and calibrate: false"
        )
    return folds


Made = tuple[list[dict[str, Any]], dict[str, Any]]  # rows, and how they came about


class Combine:
    """What is read once, and combined partition by partition."""

    def __init__(self, config: CombineConfig, examples: Examples) -> None:
        self.config, self.examples = config, examples
        self.place = {video_id: n for n, video_id in enumerate(examples.ids)}
        self.at = [examples.all_labels.index(label) for label in examples.labels]
        self.groups = groups_of(examples.accounts, examples.near_duplicates, examples.ids)
        self.rows = {system.system: _rows(system, examples) for system in config.systems}
        served = {row["model_served"] for rows in self.rows.values() for row in rows if row["model_served"]}
        self.model = f"{config.how} of {', '.join(self.rows)}"
        self.served = f"{config.how} of {', '.join(sorted(served))}"

    def __call__(self, folds: Sequence[Fold]) -> Made:
        """PredictionRows of every row that the folds test or that failed, and what was chosen for them."""
        split = f"{self.config.trained_systems[0].protocol.name}-{folds[0].partition}"
        failed: dict[str, tuple[str, str, str | None]] = {}
        for system in self.config.trained_systems:
            for row in self.rows[system.system]:
                if row["split"] == split and row["error"] is not None:
                    failed.setdefault(row["video_id"], (row["row_key"], row["error"], row["detail"]))
        failed = {**self.examples.failed, **failed}
        ids = sorted({video_id for fold in folds for video_id in fold.test} - failed.keys())
        if gone := [video_id for video_id in ids if video_id not in self.place]:
            raise ValueError(
                f"{gone[0]} was trained on and is not there any more (annotations or rows changed since); "
                "run jobs.finetune again"
            )
        truth_NL = self.examples.truth[[self.place[video_id] for video_id in ids]]
        scored = self._scored(folds, split, ids, truth_NL)
        judged = [
            decide_fold(each, truth_NL, self.config.threshold, self.config.calibrate) for each in scored
        ]
        predicted = [
            self._row(split, ids[place], each.fold.fold, scores_L, decisions_L)
            for each, its in zip(scored, judged, strict=True)
            for place, scores_L, decisions_L in zip(each.test, its.scores, its.decisions, strict=True)
        ]
        predicted += [
            self._blank(split, video_id, key, error=reason, detail=detail)
            for video_id, (key, reason, detail) in failed.items()
        ]
        facts = {"partition": folds[0].partition, "failed": len(failed)}
        return predicted, facts | self._facts(scored, judged, truth_NL)

    def _scored(
        self, folds: Sequence[Fold], split: str, ids: Sequence[str], truth_NL: Bools
    ) -> list[ScoredFold]:
        scores: list[Floats] = []
        stances: list[Floats] = []
        for system in self.config.systems:
            rows, label_set = self.rows[system.system], self.examples.label_set
            try:
                if isinstance(system, FinetuneConfig):
                    here = [row for row in rows if row["split"] == split]
                    seeds = system.protocol.seeds
                    scores.append(mean_of_seeds(here, ids, seeds, self.at, label_set))
                else:
                    predicted = answers_of(rows, ids, label_set)
                    (scores if predicted.kind == "scores" else stances).append(predicted.answers)
            except ValueError as err:
                raise ValueError(f"{system.system}: {err}") from err
        if self.config.how == "mean":
            return averaged(ensemble([scores_NA[:, self.at] for scores_NA in scores]), ids, folds)
        groups_N = self.groups[[self.place[video_id] for video_id in ids]]
        return out_of_fold(features(scores, stances)[:, self.at], truth_NL, groups_N, ids, folds)

    def _facts(
        self, scored: Sequence[ScoredFold], judged: Sequence[Decided], truth_NL: Bools
    ) -> dict[str, Any]:
        truth = np.concatenate([truth_NL[each.test] for each in scored])
        scores = {"before": np.concatenate([each.scores for each in scored])}
        if self.config.calibrate:
            scores["after"] = np.concatenate([its.scores for its in judged])
        return {
            "rows": len(truth),
            "brier": {when: brier(its, truth) for when, its in scores.items()},
            "ece": {when: ece(its, truth) for when, its in scores.items()},
            "folds": [
                {
                    "fold": each.fold.fold,
                    "rows": len(each.test),
                    "chosen_on": len(each.others),
                    "strength": each.strength,
                    "thresholds": dict(zip(self.examples.labels, its.thresholds.tolist(), strict=True)),
                }
                for each, its in zip(scored, judged, strict=True)
            ],
        }

    def _row(
        self, split: str, video_id: str, fold: int, scores_L: Floats, decisions_L: Bools
    ) -> dict[str, Any]:
        predicted = prediction_columns(len(self.examples.all_labels), self.at, scores_L, decisions_L)
        row_key = self.examples.row_keys[self.place[video_id]]
        return self._blank(split, video_id, row_key, fold=fold, model_served=self.served, **predicted)

    def _blank(self, split: str, video_id: str, row_key: str, **result: Any) -> dict[str, Any]:
        return dict.fromkeys(PredictionRow.__annotations__) | {
            "video_id": video_id,
            "row_key": row_key,
            "attempt": 1,
            "system": self.config.system,
            "label_set": self.examples.label_set,
            "split": split,
            "seed": 0,
            "model": self.model,
            **result,
        }


def _write(
    folder: Folder,
    config: CombineConfig,
    folds: str,
    made: Sequence[Made],
    inputs: dict[str, str],
    begin: float,
) -> FolderRun:
    rows = [row for predicted, _ in made for row in predicted]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow))
    name = f"data-{secrets.token_hex(8)}.parquet"
    write_table(f"{folder.uri}/{name}", table.sort_by([(key, "ascending") for key in ("split", "video_id")]))
    systems = [system.system for system in config.systems]
    partitions = [its for _, its in made]
    facts = {"how": config.how, "systems": systems, "folds_hash": folds, "partitions": partitions}
    write_bytes(f"{folder.uri}/combined.json", json.dumps(facts, indent=2).encode())
    counts: dict[str, int] = {}
    for row in rows:
        if row["error"] is not None:
            counts[row["error"]] = counts.get(row["error"], 0) + 1
    run = folder.write_run(config, [name], inputs, table.num_rows, counts, time.monotonic() - begin)
    for stale in set(list_files(folder.uri, ".parquet", include_side_tables=True)) - {name}:
        delete(f"{folder.uri}/{stale}")
    return run
