"""What a fine-tuning comes to before anything is trained, and the one table that its trainings end in."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tikval.config import FinetuneConfig, TextEncoder, UserError
from tikval.files import delete, list_files, write_bytes, write_table
from tikval.finetune.examples import Examples
from tikval.finetune.inputs import (
    folds_of_config,
    inputs_of,
    load_examples,
    pin_encoder,
    pretrained_encoders,
    state_of,
)
from tikval.finetune.model_index import write_model_index
from tikval.finetune.training import Training
from tikval.finetune.training_results import ResultRows, history_of, result_name
from tikval.rows import PredictionRow, arrow_schema
from tikval.stats.folds import PARTS, Fold
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun


@dataclass(frozen=True)
class FinetunePlan:
    """What one configuration comes to, before anything is trained."""

    config: FinetuneConfig
    folder: Folder
    examples: Examples
    inputs: dict[str, str]
    folds: list[Fold]
    encoders: dict[str, TextEncoder]  # that the folds begin with, by their names
    trainings: list[Training]

    @property
    def state(self) -> str:
        return state_of(self.config, self.examples, self.folds, self.inputs)

    @property
    def names(self) -> list[str]:
        return [result_name(training, self.state) for training in self.trainings]

    def left(self) -> list[Training]:
        finished = set(list_files(self.folder.uri, ".parquet", include_side_tables=True))
        return [each for each, name in zip(self.trainings, self.names, strict=True) if name not in finished]


def plan_finetuning(
    config: FinetuneConfig, available: Callable[[], int | None], dry_run: bool = False
) -> FinetunePlan | FolderRun:
    """What is to be trained; or what was, where nothing changed since. A dry run prints the plan.

    `available` returns the bytes that a worker has to itself, if known. Raises UserError for what cannot work.
    """
    folder = Folder(config.folder)
    try:
        examples = load_examples(config)
        inputs = inputs_of(config, examples)
        before = folder.run()
        if not dry_run and before and before.inputs == inputs:
            return before
        folds = folds_of_config(config, examples)
        encoders = _encoders(config, folder, folds)
        trainings = _trainings(config, folds, encoders)
        plan = FinetunePlan(config, folder, examples, inputs, folds, encoders, trainings)
        _check(plan, available, show=dry_run)
        return plan
    except (ValueError, OSError) as err:  # a model that the hub or the disk does not have is an OSError
        raise UserError(" ".join(str(err).split())[:500]) from err


def _encoders(config: FinetuneConfig, folder: Folder, folds: Sequence[Fold]) -> dict[str, TextEncoder]:
    """The encoder that each fold begins with, by the fold's name; none where vectors are trained on."""
    if not isinstance(config.model, TextEncoder):
        return {}
    if config.encoder:
        return pretrained_encoders(config.encoder, folds)
    return dict.fromkeys((fold.name for fold in folds), pin_encoder(folder, config.model))


def _trainings(
    config: FinetuneConfig, folds: Sequence[Fold], encoders: Mapping[str, TextEncoder]
) -> list[Training]:
    trainings = []
    for seed in range(config.protocol.seeds):
        for fold in folds:
            model, fit = config.of_fold(fold.name)
            if fold.name in encoders:
                begins = encoders[fold.name]
                model = model.model_copy(update={"model": begins.model, "revision": begins.revision})
            trainings.append(Training(fold, seed, model, fit))
    return trainings


def _check(plan: FinetunePlan, available: Callable[[], int | None], show: bool) -> None:
    """What a run would do, and whether it can. Raises UserError for too little memory."""
    config, examples, trainings = plan.config, plan.examples, plan.trainings
    first = trainings[0]
    sizes = ", ".join(f"{len(getattr(first.fold, part))} {part}" for part in PARTS)
    models = f" of {first.fit.models} models each" if first.fit.models > 1 else ""
    lines = [
        f"{len(examples.ids)} rows, {len(examples.failed)} without a text or vector, {len(examples.labels)} labels",
        f"{len(trainings)} trainings{models}; rows of the first: {sizes}",
    ]
    if isinstance(first.model, TextEncoder):
        from tikval.finetune.memory import memory_needs

        room = available()
        needs = memory_needs(first.model, first.fit, workers=config.workers, available=room)
        lines += [f"{name}: {value}" for name, value in needs.items()]
        if needs["fits"] is False:
            raise UserError(
                f"{config.system}: a training needs about {needs['total_bytes'] / 2**30:.1f} GiB and has "
                f"{(room or 0) / 2**30:.1f}: lower fit.batch_rows or model.max_tokens, set "
                "model.gradient_checkpointing: true or model.precision: bfloat16, or raise workers"
            )
    if show:
        print("\n".join(lines))


def gather_results(plan: FinetunePlan, seconds: float) -> FolderRun:
    """Write one table of all trainings, with the rows that could not be judged, and their history."""
    config, folder, examples, names = plan.config, plan.folder, plan.examples, plan.names
    rows_of = ResultRows(config, examples)
    tables = [folder.table(name) for name in names]
    failures = [
        rows_of.row(video_id, key, partition, seed, error=reason, detail=detail)
        for partition in sorted({fold.partition for fold in plan.folds})
        for seed in range(config.protocol.seeds)
        for video_id, (key, reason, detail) in sorted(examples.failed.items())
    ]
    tables.append(pa.Table.from_pylist(failures, schema=arrow_schema(PredictionRow)))
    table = pa.concat_tables(tables)
    name = f"data-{secrets.token_hex(8)}.parquet"
    write_table(
        f"{folder.uri}/{name}", table.sort_by([(key, "ascending") for key in ("split", "seed", "video_id")])
    )
    history = [history_of(folder, name) for name in names]
    write_bytes(f"{folder.uri}/history.json", json.dumps(history, indent=2).encode())
    counts: dict[str, int] = {}
    for row in failures:
        counts[row["error"]] = counts.get(row["error"], 0) + 1
    of_training = zip(plan.trainings, tables, strict=False)  # the last table is the failures'
    write_model_index(
        folder, config, examples, {each.name: (each.fold, each.seed, rows) for each, rows in of_training}
    )
    run = folder.write_run(config, [name], plan.inputs, table.num_rows, counts, seconds)
    for stale in set(list_files(folder.uri, ".parquet", include_side_tables=True)) - {name, *names}:
        delete(f"{folder.uri}/{stale}")
    return run
