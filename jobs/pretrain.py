"""Scripts or texts -> encoders that went on guessing their masked tokens, for jobs/finetune.py to begin with.

python -m jobs.pretrain configs/paper/roberta_pretrain_honest.yaml
python -m jobs.pretrain configs/paper/roberta_pretrain_honest.yaml --dry-run      # who reads what, model and memory
ray job submit --working-dir . -- python -m jobs.pretrain configs/paper/roberta_pretrain_honest.yaml

    pretrain-<fingerprint>/
      encoders/p0-f1/     that read nothing of the fold's test rows; encoders/all with leave_out: nothing
      _encoder-*.parquet  one for each encoder, written when it lies there whole: every row, and why it was not read
      folds.json          whose test rows were left out; none with leave_out: nothing
      history.json        of each encoder: texts, what was left out, loss of each epoch
"""

import contextlib
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.fs as pafs

from tikval.cli.job import guard, summary, training_arguments
from tikval.config import Fit, PretrainConfig, TextEncoder, UserError
from tikval.files import delete, filesystem, list_files, read_schema, write_bytes, write_table
from tikval.finetune.inputs import (
    encoder_uri,
    folds_of_config,
    inputs_of,
    load_examples,
    pin_encoder,
    read_pretrain_corpus,
)
from tikval.finetune.memory import memory_needs
from tikval.finetune.pretrain import Pretrained, Progress, check_masks, logit_bytes, pretrain
from tikval.finetune.pretrain_corpus import EncoderReading, PretrainCorpus, read_all, read_by
from tikval.flow.train import TrainingGroup, Worker, check_place, forget_checkpoints, run_trainings
from tikval.flow.train import memory_of_a_training as memory_of
from tikval.stats.folds import Fold, to_json
from tikval.store.folder import Folder, FolderRun

_STATE: Final = "state.pt"
_SCHEMA: Final = pa.schema([("video_id", pa.string()), ("left_out", pa.string())])


@dataclass(frozen=True)
class Plan:
    """What a configuration comes to, before anything is trained."""

    config: PretrainConfig
    model: TextEncoder  # at one commit
    corpus: PretrainCorpus
    inputs: dict[str, str]
    folds: list[Fold]
    readings: list[EncoderReading]

    def marker(self, reading: EncoderReading) -> str:
        """The file that says that an encoder is whole."""
        return f"_encoder-{reading.name}-{reading.state(self.corpus, self.model.revision)}.parquet"

    @property
    def state(self) -> str:
        """Of what all encoders read: who goes on from a checkpoint must have read the same before."""
        names = " ".join(map(self.marker, self.readings))
        return hashlib.sha256(names.encode()).hexdigest()[:16]


def run(config: PretrainConfig) -> FolderRun:
    """One encoder for each fold, or one for all; the run's rows are encoders."""
    begin = time.monotonic()
    plan = prepare(config)
    if isinstance(plan, FolderRun):
        return plan
    check_place(config.folder)
    folder = Folder(config.folder)
    with folder.lock():
        folder.keep_commits({plan.model.model: plan.model.revision})
        markers = {reading.name: plan.marker(reading) for reading in plan.readings}
        found = set(list_files(folder.uri, ".parquet", include_side_tables=True))
        left = [reading for reading in plan.readings if markers[reading.name] not in found]
        if left or found - set(markers.values()):
            # what lies there is about to be replaced: from now on it counts as unfinished
            delete(f"{folder.uri}/run.json")
            for stale in found - set(markers.values()):
                delete(f"{folder.uri}/{stale}")
        if config.leave_out == "test":
            write_bytes(f"{folder.uri}/folds.json", to_json(plan.folds).encode())
        if left:
            run_trainings([TrainingGroup(config, Guess(plan), left, plan.state, len(markers) - len(left))])
        history = [_history(plan, reading) for reading in plan.readings]
        write_bytes(f"{folder.uri}/history.json", json.dumps(history, indent=2).encode())
        done = folder.write_run(config, [], plan.inputs, len(markers), {}, time.monotonic() - begin, markers)
        forget_checkpoints(folder.uri)
    if not all(each["had_head"] for each in history):
        print(
            f"{config.stage}: {config.model.model} cannot guess masked tokens yet: that head began at random, and "
            "the first steps served it more than the encoder",
            file=sys.stderr,
        )
    return done


def prepare(config: PretrainConfig, dry_run: bool = False) -> Plan | FolderRun:
    """What is to be trained; or what was, where nothing changed since. Raises UserError for what cannot work."""
    folder = Folder(config.folder)
    try:
        examples = load_examples(config)
        corpus = read_pretrain_corpus(config, examples)
        inputs = inputs_of(config, examples)
        if config.texts:  # of rows without annotations, too
            inputs[config.texts.table] += f"-{corpus.state}"
        before = folder.run()
        if not dry_run and before and before.inputs == inputs:
            return before
        folds = folds_of_config(config, examples)
        model = pin_encoder(folder, config.model)
        plan = Plan(config, model, corpus, inputs, folds, _readings(config, corpus, folds))
        _check(plan, say=dry_run)
        return plan
    except (ValueError, OSError) as err:  # a model that the hub or the disk does not have is an OSError
        raise UserError(" ".join(str(err).split())[:500]) from err


def _readings(config: PretrainConfig, corpus: PretrainCorpus, folds: Sequence[Fold]) -> list[EncoderReading]:
    if config.leave_out == "nothing":
        if config.protocol.name != "paper":
            print(
                f"{config.stage}: leave_out: nothing shows the texts of test rows to the encoder, and the protocol "
                f"is {config.protocol.name}: scores will flatter",
                file=sys.stderr,
            )
        return [read_all(corpus)]
    # the paper's folds do not keep groups whole, so neither does what is left out for them
    return [read_by(corpus, fold, whole_groups=config.protocol.name != "paper") for fold in folds]


def _check(plan: Plan, say: bool) -> None:
    """What a run would do, and whether it can. Raises UserError for an encoder without texts and too little memory."""
    config, model = plan.config, plan.model
    said = []
    for reading in plan.readings:
        n_texts, out = len(reading.texts(plan.corpus)), reading.counts()
        said.append(
            f"{reading.name}: {n_texts} texts; left out: {out['test']} test rows, {out['related']} that share an "
            f"account or near-duplicate with one, {out['no_text']} without a text"
        )
        if not n_texts:
            raise UserError(
                f"{reading.name}: no text is left to pre-train on ({out['test']} test rows, {out['related']} related "
                f"to them, {out['no_text']} without a text); more folds leave out less, leave_out: nothing nothing"
            )
    needs = memory_needs(model, Fit(batch_rows=config.batch_rows), workers=config.workers)
    check_masks(model)
    needs["logit_bytes"] = logit_bytes(model, config.batch_rows, config.mask_share, workers=config.workers)
    needs["total_bytes"] += needs["logit_bytes"]
    room = memory_of(config.pool, config.workers)
    needs["fits"] = None if room is None else needs["total_bytes"] <= room
    if say:
        print("\n".join([*said, *(f"{name}: {value}" for name, value in needs.items())]))
    if needs["fits"] is False:
        raise UserError(
            f"{model.model}: a training needs about {needs['total_bytes'] / 2**30:.1f} GiB and has "
            f"{(room or 0) / 2**30:.1f}: lower batch_rows or model.max_tokens, set "
            "model.gradient_checkpointing: true or model.precision: bfloat16, or raise workers"
        )


@dataclass(frozen=True)
class Guess:
    """One encoder's training in each of its workers."""

    plan: Plan

    def __call__(self, reading: EncoderReading, worker: Worker) -> None:
        config, resume = self.plan.config, None
        with worker.checkpoint() as place:
            if place is not None:
                with (place / _STATE).open("rb") as file:
                    resume = Progress.load(file)

        def on_epoch(progress: Progress) -> None:
            said = {"epoch": len(progress.losses), "loss": progress.losses[-1]}
            worker.report(said, {_STATE: progress.save})

        with tempfile.TemporaryDirectory(prefix="tikval-") as made:
            learnt = pretrain(
                self.plan.model,
                reading.texts(self.plan.corpus),
                Path(made),
                mask_share=config.mask_share,
                epochs=config.epochs,
                learning_rate=config.learning_rate,
                batch_rows=config.batch_rows,
                warmup_share=config.warmup_share,
                weight_decay=config.weight_decay,
                gradient_norm=config.gradient_norm,
                seed=config.seed,
                device=worker.device,
                rank=worker.rank,
                world=worker.world,
                resume=resume,
                on_epoch=on_epoch,
            )
            if worker.rank == 0:
                self._keep(reading, made, learnt)

    def _keep(self, reading: EncoderReading, made: str, learnt: Pretrained) -> None:
        folder = self.plan.config.folder
        fs, path = filesystem(encoder_uri(folder, reading.name))
        with contextlib.suppress(FileNotFoundError):  # of other texts, or of a worker that died in here
            fs.delete_dir(path)
        fs.create_dir(path, recursive=True)
        pafs.copy_files(made, path, source_filesystem=pafs.LocalFileSystem(), destination_filesystem=fs)
        facts = json.dumps({"losses": learnt.losses, "had_head": learnt.had_head})
        table = pa.table([list(self.plan.corpus.ids), list(reading.left_out)], schema=_SCHEMA)
        # last: what has it is finished
        write_table(f"{folder}/{self.plan.marker(reading)}", table.replace_schema_metadata({"tikval": facts}))


def _history(plan: Plan, reading: EncoderReading) -> dict[str, Any]:
    facts = read_schema(f"{plan.config.folder}/{plan.marker(reading)}").metadata[b"tikval"]
    return {
        "encoder": reading.name,
        "texts": reading.left_out.count(None),
        "left_out": reading.counts(),
        **json.loads(facts),
    }


def main() -> None:
    """Several configurations train one after another; overrides hold for all of them."""

    def work() -> int:
        configs, dry_run = training_arguments(PretrainConfig, "pretrain")
        for config in configs:
            if dry_run:
                prepare(config, dry_run=True)
            else:
                print(summary(config, run(config)))
        return 0

    sys.exit(guard(work))


if __name__ == "__main__":
    main()
