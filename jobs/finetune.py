"""Scripts, vectors or texts, and annotations -> trained systems and what they say of held-out rows.

python -m jobs.finetune configs/demo/finetune.yaml
python -m jobs.finetune configs/demo/finetune.yaml --dry-run      # data, folds, model and memory; trains nothing
python -m jobs.finetune A.yaml B.yaml C.yaml                      # one after another, every fold in parallel
ray job submit --working-dir . -- python -m jobs.finetune configs/demo/finetune.yaml
"""

import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa

from tikval.config import FinetuneConfig, TextEncoder, UserError, load_config
from tikval.files import delete, list_files, read_parquet, read_schema, write_bytes, write_table
from tikval.finetune.examples import Examples
from tikval.finetune.folds import PARTS, Fold, folds_hash, to_json
from tikval.finetune.lesson import Learnt, Training, describe, learn, save_weights
from tikval.finetune.loop import Epoch, State
from tikval.flow.folder import Folder, Run
from tikval.flow.learn import folds_of, inputs_of, load_examples, pin_encoder, pretrained_encoders
from tikval.flow.main import FAILED, guard, summary, too_many_failed
from tikval.flow.train import Worker, check_place, forget_checkpoints, memory_of_a_training, run_trainings
from tikval.hub.pin import served
from tikval.rows import PredictionRow, arrow_schema

_STATE: Final = "state.pt"
_BEST: Final = "best.pt"


def run(config: FinetuneConfig, dry_run: bool = False) -> Run | None:
    """Train every fold and seed, and write what each says of its test rows. None: a dry run."""
    folder, begin = Folder(config.folder), time.monotonic()
    try:
        examples = load_examples(config)
        inputs = inputs_of(config, examples)
        before = folder.run()
        if not dry_run and before and before.inputs == inputs:
            return before
        folds = folds_of(config, examples)
        encoders = _encoders(config, folder, folds)
        trainings = _trainings(config, folds, encoders)
        _check(config, examples, trainings, say=dry_run)
    except (ValueError, OSError) as err:  # a model that the hub or the disk does not have is an OSError
        raise UserError(" ".join(str(err).split())[:500]) from err
    if dry_run:
        return None
    check_place(config.folder)
    state = f"{examples.state}-{folds_hash(folds)}"
    with folder.lock():
        if isinstance(config.model, TextEncoder) and config.encoder is None:
            folder.keep_commits({config.model.model: encoders[trainings[0].fold.name].revision})
        finished = set(list_files(folder.uri, ".parquet", beside=True))
        left = [training for training in trainings if result_name(training, state) not in finished]
        write_bytes(f"{folder.uri}/folds.json", to_json(folds).encode())
        if left:
            teach = Teach(config, examples, state)
            run_trainings(config, teach, left, state=state, before=len(trainings) - len(left))
        names = [result_name(training, state) for training in trainings]
        done = _gather(folder, config, examples, folds, names, inputs, time.monotonic() - begin)
        forget_checkpoints(folder.uri)
        return done


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


def _check(config: FinetuneConfig, examples: Examples, trainings: Sequence[Training], say: bool) -> None:
    """What a run would do, and whether it can. Raises UserError for too little memory."""
    first = trainings[0]
    sizes = ", ".join(f"{len(getattr(first.fold, part))} {part}" for part in PARTS)
    said = [
        f"{len(examples.ids)} rows, {len(examples.failed)} without a text or vector, {len(examples.labels)} labels",
        f"{len(trainings)} trainings; rows of the first: {sizes}",
    ]
    if isinstance(first.model, TextEncoder):
        from tikval.finetune.check import describe

        room = memory_of_a_training(config.pool, config.workers)
        needs = describe(first.model, first.fit, workers=config.workers, available=room)
        said += [f"{name}: {value}" for name, value in needs.items()]
        if needs["fits"] is False:
            raise UserError(
                f"{config.system}: a training needs about {needs['total_bytes'] / 2**30:.1f} GiB and has "
                f"{(room or 0) / 2**30:.1f}: lower fit.batch_rows or model.max_tokens, set "
                "model.gradient_checkpointing: true or model.precision: bfloat16, or raise workers"
            )
    if say:
        print("\n".join(said))


@dataclass(frozen=True)
class Teach:
    """One training in each of its workers."""

    config: FinetuneConfig
    examples: Examples
    state: str

    def __call__(self, training: Training, worker: Worker) -> None:
        import torch

        resume, best = None, dict[int, Any]()
        with worker.checkpoint() as place:
            if place is not None:
                with (place / _STATE).open("rb") as file:
                    resume = State.load(file)
                best = torch.load(place / _BEST, map_location="cpu", weights_only=True)

        def on_epoch(epoch: Epoch, now: State) -> None:
            if epoch.best:
                best[epoch.head] = {name: value.detach().cpu().clone() for name, value in now.model.items()}
            said = {"epoch": epoch.epoch, "head": epoch.head, "score": epoch.score, "loss": epoch.loss}
            worker.report(said, {_STATE: now.save, _BEST: partial(torch.save, best)})

        learnt = learn(
            self.examples,
            training,
            self.config.protocol.threshold,
            on_epoch=on_epoch,
            resume=resume,
            device=worker.device,
            rank=worker.rank,
            world=worker.world,
        )
        if worker.rank == 0:
            self._write(training, learnt, best)

    def _write(self, training: Training, learnt: Learnt, best: dict[int, Any]) -> None:
        folder = self.config.folder
        if self.config.keep_models == "best":
            place = f"{folder}/models/{training.name}"
            write_bytes(f"{place}/weights.pt", save_weights(best))
            write_bytes(f"{place}/model.json", describe(self.examples, training, learnt).encode())
        table = Rows(self.config, self.examples)(training, learnt)
        history = json.dumps([asdict(epoch) for epoch in learnt.history])
        facts = {"history": history, "cut_rows": str(learnt.cut_rows), "lost_tokens": str(learnt.lost_tokens)}
        # last: what has it is finished
        write_table(
            f"{folder}/{result_name(training, self.state)}",
            table.replace_schema_metadata({"tikval": json.dumps(facts)}),
        )


def result_name(training: Training, state: str) -> str:
    """Of one training's rows in its folder; `state` is that of what it learnt from."""
    return f"_training-{training.name}-{state}.parquet"


class Rows:
    """PredictionRows of one training's test rows."""

    def __init__(self, config: FinetuneConfig, examples: Examples) -> None:
        self.config, self.examples = config, examples

    def __call__(self, training: Training, learnt: Learnt) -> pa.Table:
        model = training.model
        name = served(model.model, model.revision) if isinstance(model, TextEncoder) else "mlp"
        place = {video_id: n for n, video_id in enumerate(self.examples.ids)}
        at = [self.examples.all_labels.index(label) for label in self.examples.labels]
        rows = []
        for video_id, probabilities in zip(learnt.ids, learnt.probabilities, strict=True):
            decisions: list[bool | None] = [None] * len(self.examples.all_labels)
            scores: list[float | None] = [None] * len(self.examples.all_labels)
            for i, probability, threshold in zip(at, probabilities, learnt.thresholds, strict=True):
                decisions[i], scores[i] = bool(probability >= threshold), float(probability)
            rows.append(
                self.row(
                    video_id,
                    self.examples.row_keys[place[video_id]],
                    training.fold.partition,
                    training.seed,
                    fold=training.fold.fold,
                    decisions=decisions,
                    scores=scores,
                    abstained=False,
                    model_served=name,
                )
            )
        return pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow))

    def row(self, video_id: str, row_key: str, partition: int, seed: int, **result: Any) -> dict[str, Any]:
        return dict.fromkeys(PredictionRow.__annotations__) | {
            "video_id": video_id,
            "row_key": row_key,
            "attempt": 1,
            "system": self.config.system,
            "label_set": self.examples.label_set,
            "split": f"{self.config.protocol.name}-{partition}",
            "seed": seed,
            "model": getattr(self.config.model, "model", "mlp"),
            **result,
        }


def _gather(
    folder: Folder,
    config: FinetuneConfig,
    examples: Examples,
    folds: Sequence[Fold],
    names: Sequence[str],
    inputs: dict[str, str],
    seconds: float,
) -> Run:
    """One table of all trainings, with the rows that could not be judged; the history beside it."""
    rows_of = Rows(config, examples)
    tables = [read_parquet(f"{folder.uri}/{name}") for name in names]
    failures = [
        rows_of.row(video_id, key, partition, seed, error=reason, detail=detail)
        for partition in sorted({fold.partition for fold in folds})
        for seed in range(config.protocol.seeds)
        for video_id, (key, reason, detail) in sorted(examples.failed.items())
    ]
    tables.append(pa.Table.from_pylist(failures, schema=arrow_schema(PredictionRow)))
    table = pa.concat_tables(tables)
    name = f"data-{secrets.token_hex(8)}.parquet"
    write_table(
        f"{folder.uri}/{name}", table.sort_by([(key, "ascending") for key in ("split", "seed", "video_id")])
    )
    history = [_history(folder, name) for name in names]
    write_bytes(f"{folder.uri}/history.json", json.dumps(history, indent=2).encode())
    counts: dict[str, int] = {}
    for row in failures:
        counts[row["error"]] = counts.get(row["error"], 0) + 1
    run = folder.write_run(config, [name], inputs, table.num_rows, counts, seconds)
    for stale in set(list_files(folder.uri, ".parquet", beside=True)) - {name, *names}:
        delete(f"{folder.uri}/{stale}")
    return run


def _history(folder: Folder, name: str) -> dict[str, Any]:
    said = json.loads(read_schema(f"{folder.uri}/{name}").metadata[b"tikval"])
    return {
        "training": name.split("-", 1)[1].rsplit("-", 2)[0],
        **said,
        "history": json.loads(said["history"]),
    }


def main() -> None:
    """Several configurations train one after another; overrides hold for all of them."""

    def work() -> int:
        words = [word for word in sys.argv[1:] if word != "--dry-run"]
        files = [word for word in words if "=" not in word]
        overrides = [word for word in words if "=" in word]
        if not files:
            raise UserError("usage: python -m jobs.finetune CONFIG.yaml ... [key=value ...] [--dry-run]")
        worst = 0
        for config in [load_config(FinetuneConfig, file, overrides) for file in files]:
            done = run(config, "--dry-run" in sys.argv)
            if done is not None:
                print(summary(config, done))
                worst = max(worst, FAILED if too_many_failed(config, done) else 0)
        return worst

    sys.exit(guard(work))


if __name__ == "__main__":
    main()
