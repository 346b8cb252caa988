"""Continued pre-training on Ray Train: one encoder for each fold, or one for all, side by side."""

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.fs as pafs

from tikval.config import PretrainConfig
from tikval.files import delete, filesystem, list_files, write_bytes, write_table
from tikval.finetune.inputs import encoder_uri
from tikval.finetune.pretrain import Pretrained, Progress, pretrain
from tikval.finetune.pretrain_corpus import EncoderReading
from tikval.finetune.pretrain_plan import PretrainPlan, history_of_encoder, plan_pretraining
from tikval.flow.train import (
    TrainingGroup,
    Worker,
    check_place,
    forget_checkpoints,
    memory_of_a_training,
    run_trainings,
)
from tikval.machine import ScratchFolder
from tikval.stats.folds import to_json
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun

_STATE: Final = "state.pt"
_SCHEMA: Final = pa.schema([("video_id", pa.string()), ("left_out", pa.string())])


def show_pretrain_plan(config: PretrainConfig) -> None:
    """Print who reads what, model and memory. Raises UserError for what cannot work."""
    plan_pretraining(config, partial(memory_of_a_training, config.pool, config.workers), dry_run=True)


def pretrain_encoders(config: PretrainConfig) -> FolderRun:
    """One encoder for each fold, or one for all; the run's rows are encoders."""
    begin = time.monotonic()
    plan = plan_pretraining(config, partial(memory_of_a_training, config.pool, config.workers))
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
            run_trainings(
                [TrainingGroup(config, PretrainWorker(plan), left, plan.state, len(markers) - len(left))]
            )
        history = [history_of_encoder(plan, reading) for reading in plan.readings]
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


@dataclass(frozen=True)
class PretrainWorker:
    """One encoder's training in each of its workers."""

    plan: PretrainPlan

    def __call__(self, reading: EncoderReading, worker: Worker) -> None:
        config, resume = self.plan.config, None
        with worker.checkpoint() as place:
            if place is not None:
                with (place / _STATE).open("rb") as file:
                    resume = Progress.load(file)

        def on_epoch(progress: Progress) -> None:
            numbers = {"epoch": len(progress.losses), "loss": progress.losses[-1]}
            worker.report(numbers, {_STATE: progress.save})

        with ScratchFolder() as made:
            learnt = pretrain(
                self.plan.model,
                reading.texts(self.plan.corpus),
                Path(made.path),
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
                self._keep(reading, made.path, learnt)

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
