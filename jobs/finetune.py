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
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tikval.codebook import load_codebook
from tikval.config import FinetuneConfig, UserError, find, load_config
from tikval.files import list_files, read_parquet, read_schema, write_bytes, write_table
from tikval.finetune.examples import Examples, examples_of, read_texts
from tikval.finetune.folds import Fold, check_folds, folds_hash, groups_of, make_folds, to_json
from tikval.flow.folder import Folder, Run
from tikval.flow.main import FAILED, guard, summary, too_many_failed
from tikval.labels import read_labels
from tikval.rows import PredictionRow, arrow_schema


def run(config: FinetuneConfig, dry_run: bool = False) -> Run | None:
    """Train every fold and seed, and write what each says of its test rows. None: a dry run."""
    folder, begin = Folder(config.folder), time.monotonic()
    try:
        examples = load_examples(config)
        inputs = _inputs(config, examples)
        folds = _folds(config, examples)
        if dry_run:
            _check(config, examples, folds)
            return None
    except (ValueError, OSError) as err:  # a model that the hub or the disk does not have is an OSError
        raise UserError(" ".join(str(err).split())[:500]) from err
    from tikval.finetune.lesson import Lesson, Training  # deferred: torch, which a finished run does without
    from tikval.flow.train import check_place, forget_checkpoints, result_name, run_trainings

    check_place(config.folder, config.workers)
    state = f"{examples.state}-{folds_hash(folds)}"
    with folder.lock():
        before = folder.run()
        if before and before.inputs == inputs:
            return before
        trainings = [Training(fold, seed) for seed in range(config.protocol.seeds) for fold in folds]
        finished = set(list_files(folder.uri, ".parquet", beside=True))
        left = [training for training in trainings if result_name(training, state) not in finished]
        write_bytes(f"{folder.uri}/folds.json", to_json(folds).encode())
        if left:
            lesson = Lesson(examples, config.model, config.fit, config.protocol)
            rows_of = Rows(config.system, config.protocol.name, config.model, examples)
            run_trainings(
                config, lesson, left, state=state, before=len(trainings) - len(left), rows_of=rows_of
            )
        names = [result_name(training, state) for training in trainings]
        done = _gather(folder, config, examples, folds, names, inputs, time.monotonic() - begin)
        forget_checkpoints(folder.uri)
        return done


def load_examples(config: FinetuneConfig) -> Examples:
    """What is trained on. Raises ValueError and UserError."""
    codebook = load_codebook(find(config.codebook))
    wanted: dict[str, Any] = {
        "wanted": config.labels,
        "min_share": config.min_share,
        "annotator": config.annotator,
    }
    if config.texts:
        rows, accounts, split = read_texts(config.texts.table)
        annotations = read_labels(config.texts.annotations, codebook.slugs, codebook.label_set)
        return examples_of(
            rows, annotations, codebook.labels, accounts=accounts, near_duplicates={}, split=split, **wanted
        )
    source = config.embeddings if config.model.kind == "vectors" else config.scripts
    assert source is not None
    catalog = Folder(source.videos.folder)
    videos = catalog.rows(catalog)
    accounts = {row["video_id"]: row["account"] for row in videos}
    annotations = [row for row in catalog.read_beside("labels") if row["video_id"] in accounts]
    if not annotations:
        raise UserError(f"{catalog.uri}: has no annotations; name them in the catalog's configuration")
    near = Folder(config.embeddings.folder).rows(catalog) if config.embeddings else []
    return examples_of(
        Folder(source.folder).rows(catalog),
        annotations,
        codebook.labels,
        accounts=accounts | {row["video_id"]: row["account"] for row in annotations if row["account"]},
        near_duplicates={row["video_id"]: row["near_duplicates"] for row in near},
        **wanted,
    )


def _inputs(config: FinetuneConfig, examples: Examples) -> dict[str, str]:
    sources = [source for source in (config.scripts, config.embeddings) if source]
    folders = [Folder(source.folder) for source in sources] + [
        Folder(source.videos.folder) for source in sources
    ]
    if config.texts:
        return {config.texts.table: examples.state}  # a table that changed is trained on anew
    return {folder.uri: folder.finished().state for folder in folders}


def _folds(config: FinetuneConfig, examples: Examples) -> list[Fold]:
    groups = groups_of(examples.accounts, examples.near_duplicates, examples.ids)
    folds = make_folds(examples.ids, groups, examples.truth, config.protocol, examples.split, examples.labels)
    for warning in check_folds(folds, examples.ids, groups, examples.truth, examples.labels):
        print(f"finetune: {warning}", file=sys.stderr)
    return folds


def _check(config: FinetuneConfig, examples: Examples, folds: Sequence[Fold]) -> None:
    """What a run would do, and whether it can."""
    sizes = [(len(fold.train), len(fold.validation), len(fold.test)) for fold in folds]
    print(
        f"{len(examples.ids)} rows, {len(examples.failed)} without a text or vector, {len(examples.labels)} labels"
    )
    print(
        f"{len(folds) * config.protocol.seeds} trainings; train, validation, test rows: {sizes[0]} and the like"
    )
    if config.model.kind == "text":
        from tikval.finetune.check import describe

        for name, value in describe(config.model, config.fit).items():
            print(f"{name}: {value}")


class Rows:
    """PredictionRows of one training's test rows; travels to the worker that trained."""

    def __init__(self, system: str, protocol: str, model: Any, examples: Examples) -> None:
        self.system, self.protocol, self.examples = system, protocol, examples
        self.model = model.model if model.kind == "text" else "mlp"

    def __call__(self, training: Any, learnt: Any) -> pa.Table:
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
                    model_served=self.model,
                )
            )
        return pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow))

    def row(self, video_id: str, row_key: str, partition: int, seed: int, **result: Any) -> dict[str, Any]:
        return dict.fromkeys(PredictionRow.__annotations__) | {
            "video_id": video_id,
            "row_key": row_key,
            "attempt": 1,
            "system": self.system,
            "label_set": self.examples.label_set,
            "split": f"{self.protocol}-{partition}",
            "seed": seed,
            "model": self.model,
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
    rows_of = Rows(config.system, config.protocol.name, config.model, examples)
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
    from tikval.flow.train import forget_results

    stale = set(list_files(folder.uri, ".parquet", beside=True)) - {name, *names}
    forget_results(folder.uri, sorted(stale))
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
