"""What a trained system's folder states of its models: written when all trainings are done, read by who uses them."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from tikval.config import FinetuneConfig, UserError
from tikval.files import delete, list_files, write_bytes
from tikval.finetune.ensemble import HeldOut, ensemble_facts
from tikval.finetune.examples import Examples
from tikval.finetune.model_files import EnsembleFacts, Kept, read_facts, read_kept
from tikval.stats.folds import Fold, groups_of
from tikval.store.folder import Folder


def write_model_index(
    folder: Folder,
    config: FinetuneConfig,
    examples: Examples,
    trained: Mapping[str, tuple[Fold, int, pa.Table]],
) -> None:
    """Write models/ensemble.json of a system whose models are kept; else there is none, not even an older one.

    `trained`: of each training by name its fold, its seed and its PredictionRows, all of them results.
    """
    target = f"{folder.uri}/models/ensemble.json"
    kept = all(list_files(f"{folder.uri}/models/{name}", "model.json") for name in trained)
    if config.keep_models == "none" or not kept:
        delete(target)
        return
    held, members = list[HeldOut](), dict[str, dict[str, str | int]]()
    for name, (fold, seed, table) in trained.items():
        model = read_kept(f"{folder.uri}/models/{name}")
        held.append(_held_out(name, (fold.partition, seed), table, model, examples))
        members[name] = {
            "weights_sha256": model.weights_sha256,
            "train": len(fold.train),
            "validation": len(fold.validation),
            "test": len(fold.test),
            "cut_rows": int(json.loads(table.schema.metadata[b"tikval"])["cut_rows"]),
        }
    facts = ensemble_facts(
        held,
        examples.truth,
        groups_of(examples.accounts, examples.near_duplicates, examples.ids),
        groups_of(examples.accounts, [None] * len(examples.ids), examples.ids),
        config.protocol,
        members=members,
        system=config.system,
        label_set=examples.label_set,
        all_labels=examples.all_labels,
        labels=examples.labels,
        failed=len(examples.failed),
    )
    write_bytes(target, facts.model_dump_json(indent=2).encode())


def _held_out(name: str, run: tuple[int, int], table: pa.Table, model: Kept, examples: Examples) -> HeldOut:
    """The PredictionRows of one training as arrays; `run`: its partition and seed."""
    row_of = {video_id: n for n, video_id in enumerate(examples.ids)}
    at = [examples.all_labels.index(label) for label in examples.labels]
    rows = np.array([row_of[video_id] for video_id in table["video_id"].to_pylist()], np.int64)
    scores_nL = np.array(table["scores"].to_pylist(), np.float32)[:, at]
    predicted_nL = np.array(table["decisions"].to_pylist(), object)[:, at].astype(bool)
    return HeldOut(name, run, rows, scores_nL, predicted_nL, np.array(model.thresholds))


def usable_members(folder: str, wanted: Sequence[str] | None) -> tuple[EnsembleFacts, tuple[str, ...]]:
    """The facts of a finished system, and the names of the trainings that are wanted (None: of all).

    Raises UserError for what has not finished, was not kept or does not exist.
    """
    Folder(folder).finished()
    facts = read_facts(folder)
    if unknown := sorted(set(wanted or ()) - set(facts.members)):
        raise UserError(f"{folder}: no training {unknown[0]}; there are {', '.join(sorted(facts.members))}")
    names = tuple(name for name in facts.members if wanted is None or name in wanted)
    if not names:
        raise UserError("members: names no training")
    for name in names:
        if not list_files(f"{folder}/models/{name}", "weights.pt"):
            raise UserError(f"{folder}/models/{name}: its weights are gone; run jobs.finetune anew")
    return facts, names
