"""Trained systems on Ray Train: all folds and seeds of several configurations side by side."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from tikval.config import FinetuneConfig
from tikval.files import write_bytes
from tikval.finetune.finetune_plan import gather_results, plan_finetuning
from tikval.flow.distill import ask_teacher
from tikval.flow.finetune_worker import FinetuneWorker
from tikval.flow.train import (
    TrainingGroup,
    check_place,
    forget_checkpoints,
    memory_of_a_training,
    run_trainings,
)
from tikval.stats.folds import to_json
from tikval.store.folder_run import FolderRun


def finetune_systems(configs: Sequence[FinetuneConfig]) -> list[FolderRun]:
    """Train every fold and seed of all systems, as one list, so that none waits for another while there is room.

    Raises UserError for what a training cannot get over.
    """
    begin = time.monotonic()
    done: dict[str, FolderRun] = {}
    plans = []
    for config in configs:
        if config.teacher:
            ask_teacher(config)
        plan_or_run = plan_finetuning(config, partial(memory_of_a_training, config.pool, config.workers))
        if isinstance(plan_or_run, FolderRun):
            done[config.folder] = plan_or_run
        else:
            plans.append(plan_or_run)
    with ExitStack() as locks:
        groups = []
        for plan in plans:
            check_place(plan.folder.uri)
            locks.enter_context(plan.folder.lock())
            if plan.encoders and plan.config.encoder is None:
                plan.folder.keep_commits({each.model: each.revision for each in plan.encoders.values()})
            write_bytes(f"{plan.folder.uri}/folds.json", to_json(plan.folds).encode())
            left = plan.left()
            before = len(plan.trainings) - len(left)
            if left:
                work = FinetuneWorker(plan.config, plan.examples, plan.state)
                groups.append(TrainingGroup(plan.config, work, left, plan.state, before))
        try:
            run_trainings(groups)
        finally:  # of several systems, those that are whole are kept even where another failed
            for plan in plans:
                if not plan.left():
                    done[plan.folder.uri] = gather_results(plan, time.monotonic() - begin)
                    forget_checkpoints(plan.folder.uri)
    return [done[config.folder] for config in configs]


def show_finetune_plan(config: FinetuneConfig) -> None:
    """Print data, folds, model and memory. Raises UserError for what cannot work."""
    plan_finetuning(config, partial(memory_of_a_training, config.pool, config.workers), dry_run=True)
