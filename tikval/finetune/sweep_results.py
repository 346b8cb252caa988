"""What a sweep ends in: best.yaml, a configuration of jobs.finetune, and a line for each fold."""

import json
from collections.abc import Sequence

import yaml

from tikval.config import SweepConfig
from tikval.files import delete, write_bytes
from tikval.finetune.sweep_plan import SweepPlan, warn_of_sweep
from tikval.finetune.trial import Trial, ranked_trials
from tikval.store.folder import Folder


def write_best(config: SweepConfig, folder: Folder, plan: SweepPlan, trials: Sequence[Trial]) -> None:
    """best.yaml: the fine-tuning as it was, at the commit that was tried, and each fold's best settings."""
    best = {fold: ranked_trials(_of_fold(trials, fold), config.finetune.fit.best_by) for fold in plan.given}
    if not any(best.values()):
        delete(f"{folder.uri}/best.yaml")
        return
    keys = config.finetune.model_dump(mode="json")
    if plan.encoder:
        keys["model"]["revision"] = plan.encoder.revision
    keys["by_fold"] = {fold: each[0].settings for fold, each in best.items() if each}
    head = (
        f"# Written by jobs.sweep ({config.fingerprint}): the best of {config.trials} trials of each fold, chosen on\n"
        f"# its validation rows.\n#\n#   python -m jobs.finetune {folder.uri}/best.yaml\n"
    )
    write_bytes(f"{folder.uri}/best.yaml", (head + yaml.safe_dump(keys, sort_keys=False)).encode())


def _of_fold(trials: Sequence[Trial], fold: str) -> list[Trial]:
    return [trial for trial in trials if trial.fold == fold]


def print_best(config: SweepConfig, trials: Sequence[Trial]) -> None:
    """Print the best of each fold, and where the configuration's own settings stand among all."""
    best_by = config.finetune.fit.best_by
    any_best = False
    for fold in dict.fromkeys(trial.fold for trial in trials):
        mine = _of_fold(trials, fold)
        order = ranked_trials(mine, best_by)
        if not order:
            warn_of_sweep(
                f"{fold}: no trial came to a score ({mine[0].detail}); best.yaml leaves it as it was"
            )
            continue
        any_best = True
        settings = ", ".join(f"{key}={json.dumps(value)}" for key, value in order[0].settings.items())
        own = next((n for n, trial in enumerate(order) if trial.number == 0), None)
        if config.own is None:
            place = "the configuration's own settings lie outside the space"
        elif own is None:
            place = "the configuration's own settings failed"
        else:
            place = f"the configuration's own: place {own + 1}, {order[own].score:.4f}"
        print(f"{fold}: {best_by} {order[0].score:.4f} of {len(mine)} trials with {settings}; {place}")
    if any_best:
        print(f"python -m jobs.finetune {config.folder}/best.yaml")
