"""Scripts, vectors or texts, and annotations -> trained systems and what they say of held-out rows.

python -m jobs.finetune configs/local/finetune.yaml
python -m jobs.finetune configs/local/finetune.yaml --dry-run      # data, folds, model and memory; trains nothing
python -m jobs.finetune A.yaml B.yaml C.yaml                      # all their folds side by side
ray job submit --working-dir . -- python -m jobs.finetune configs/local/finetune.yaml
"""

import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa

from tikval.cli.job import FAILED, guard, summary, too_many_failed, training_arguments
from tikval.config import FinetuneConfig, TextEncoder, UserError
from tikval.files import delete, list_files, read_parquet, write_bytes, write_table
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
from tikval.flow.finetune_worker import FinetuneWorker, Rows, history_of, result_name
from tikval.flow.train import (
    TrainingGroup,
    check_place,
    forget_checkpoints,
    memory_of_a_training,
    run_trainings,
)
from tikval.rows import PredictionRow, arrow_schema
from tikval.stats.folds import PARTS, Fold, to_json
from tikval.store.folder import Folder, FolderRun


@dataclass(frozen=True)
class Plan:
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


def run(config: FinetuneConfig) -> FolderRun:
    """Train every fold and seed, and write what each says of its test rows."""
    return run_all([config])[0]


def run_all(configs: Sequence[FinetuneConfig]) -> list[FolderRun]:
    """All systems' folds and seeds as one list, so that none waits for another while there is room."""
    begin = time.monotonic()
    done: dict[str, FolderRun] = {}
    plans = []
    for config in configs:
        plan_or_run = prepare(config)
        if isinstance(plan_or_run, FolderRun):
            done[config.folder] = plan_or_run
        else:
            plans.append(plan_or_run)
    with ExitStack() as locks:
        courses = []
        for plan in plans:
            check_place(plan.folder.uri)
            locks.enter_context(plan.folder.lock())
            if plan.encoders and plan.config.encoder is None:
                plan.folder.keep_commits({each.model: each.revision for each in plan.encoders.values()})
            write_bytes(f"{plan.folder.uri}/folds.json", to_json(plan.folds).encode())
            left = plan.left()
            before = len(plan.trainings) - len(left)
            if left:
                teach = FinetuneWorker(plan.config, plan.examples, plan.state)
                courses.append(TrainingGroup(plan.config, teach, left, plan.state, before))
        try:
            run_trainings(courses)
        finally:  # of several systems, those that are whole are kept even where another failed
            for plan in plans:
                if not plan.left():
                    done[plan.folder.uri] = _gather(plan, time.monotonic() - begin)
                    forget_checkpoints(plan.folder.uri)
    return [done[config.folder] for config in configs]


def prepare(config: FinetuneConfig, dry_run: bool = False) -> Plan | FolderRun:
    """What is to be trained; or what was, where nothing changed since. Raises UserError for what cannot work."""
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
        plan = Plan(config, folder, examples, inputs, folds, encoders, trainings)
        _check(plan, say=dry_run)
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


def _check(plan: Plan, say: bool) -> None:
    """What a run would do, and whether it can. Raises UserError for too little memory."""
    config, examples, trainings = plan.config, plan.examples, plan.trainings
    first = trainings[0]
    sizes = ", ".join(f"{len(getattr(first.fold, part))} {part}" for part in PARTS)
    said = [
        f"{len(examples.ids)} rows, {len(examples.failed)} without a text or vector, {len(examples.labels)} labels",
        f"{len(trainings)} trainings; rows of the first: {sizes}",
    ]
    if isinstance(first.model, TextEncoder):
        from tikval.finetune.memory import memory_needs

        room = memory_of_a_training(config.pool, config.workers)
        needs = memory_needs(first.model, first.fit, workers=config.workers, available=room)
        said += [f"{name}: {value}" for name, value in needs.items()]
        if needs["fits"] is False:
            raise UserError(
                f"{config.system}: a training needs about {needs['total_bytes'] / 2**30:.1f} GiB and has "
                f"{(room or 0) / 2**30:.1f}: lower fit.batch_rows or model.max_tokens, set "
                "model.gradient_checkpointing: true or model.precision: bfloat16, or raise workers"
            )
    if say:
        print("\n".join(said))


def _gather(plan: Plan, seconds: float) -> FolderRun:
    """One table of all trainings, with the rows that could not be judged; the history beside it."""
    config, folder, examples, names = plan.config, plan.folder, plan.examples, plan.names
    rows_of = Rows(config, examples)
    tables = [read_parquet(f"{folder.uri}/{name}") for name in names]
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


def main() -> None:
    """Several configurations train together; overrides hold for all of them."""

    def work() -> int:
        configs, dry_run = training_arguments(FinetuneConfig, "finetune")
        if len({config.folder for config in configs}) < len(configs):
            raise UserError("two of the configurations are the same recipe")
        if dry_run:
            for config in configs:
                prepare(config, dry_run=True)
            return 0
        worst = 0
        for config, done in zip(configs, run_all(configs), strict=True):
            print(summary(config, done))
            worst = max(worst, FAILED if too_many_failed(config, done) else 0)
        return worst

    sys.exit(guard(work))


if __name__ == "__main__":
    main()
