"""Sweeps on Ray Tune: settings of a fine-tuning tried inside each fold, in one pool of processes.

    for each fold:  training rows -> trials -> scores on its validation rows -> best settings

No trial is given a test row: each fold has a study of its own. A trial's file is written when it ends; the same command
after a kill runs what is left.
"""

import time
from functools import partial

from tikval.config import SweepConfig
from tikval.files import write_bytes
from tikval.finetune.sweep_plan import SweepPlan, plan_sweep, warn_of_sweep
from tikval.finetune.sweep_results import print_best, write_best
from tikval.finetune.tracking import Tracker
from tikval.finetune.trial import Trial, attempt
from tikval.finetune.trial_files import TrialFiles, read_trials, write_trials
from tikval.flow.session import start_ray
from tikval.flow.train import memory_of_a_training
from tikval.stats.folds import to_json
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.progress import StageProgress


def show_sweep_plan(config: SweepConfig) -> None:
    """Print data, folds, model and space. Raises UserError for what cannot work."""
    plan_sweep(config, partial(memory_of_a_training, config.pool, 1), dry_run=True)


def run_sweep(config: SweepConfig) -> FolderRun:
    """Try settings in every fold, and write the best as a configuration of jobs.finetune."""
    folder, begin = Folder(config.folder), time.monotonic()
    plan = plan_sweep(config, partial(memory_of_a_training, config.pool, 1))
    tracker = Tracker(config, "-".join(plan.inputs.values())) if config.mlflow else None
    if isinstance(plan, FolderRun):
        trials = read_trials(folder)
        warn_of_sweep(tracker.log(trials) if tracker else None)
        print_best(config, trials)
        return plan
    with folder.lock():
        if plan.encoder and config.finetune.encoder is None:
            folder.keep_commits({plan.encoder.model: plan.encoder.revision})
        write_bytes(f"{folder.uri}/folds.json", to_json(plan.folds).encode())
        trials = _try(config, folder, plan, tracker)
        warn_of_sweep(tracker.log(trials) if tracker else None)
        write_best(config, folder, plan, trials)
        run = write_trials(config, folder, trials, plan.inputs, time.monotonic() - begin)
    print_best(config, trials)
    return run


def _try(config: SweepConfig, folder: Folder, plan: SweepPlan, tracker: Tracker | None) -> list[Trial]:
    """All trials, those of earlier runs and those of this one, by fold and number."""
    files = TrialFiles(folder, plan.state)
    trials = [trial for fold in plan.given for trial in files.read(fold)]
    warn_of_sweep(tracker.log(trials) if tracker else None)
    total = config.trials * len(plan.given)
    left = total - len(trials)
    if left > 0:
        start_ray()
        from tikval.flow.tune import run_trials  # seconds of import that a finished sweep does not need

        with StageProgress(config.stage, left, len(trials), folder.uri) as progress:

            def finished(trial: Trial) -> None:
                files.write(trial)
                trials.append(trial)
                progress.advance(1, {trial.error: 1} if trial.error else {})
                warn_of_sweep(tracker.log([trial]) if tracker else None)

            run_trials(config, attempt, plan.given, config.own, list(trials), finished)
    return sorted(trials, key=lambda trial: (list(plan.given).index(trial.fold), trial.number))
