"""A fine-tuning's space of settings -> the best of each fold, chosen inside that fold's training part.

python -m jobs.sweep configs/paper/roberta_sweep.yaml
python -m jobs.sweep configs/paper/roberta_sweep.yaml --dry-run      # data, folds, model and space; trains nothing
python -m jobs.finetune out/paper/sweep-FINGERPRINT/best.yaml

    for each fold:  training rows -> trials -> scores on its validation rows -> best settings

No trial is given a test row: each fold has a study of its own. A trial's file is written when it ends; the same command
after a kill runs what is left.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from operator import itemgetter
from typing import Any

import yaml

from tikval.cli.job import FAILED, guard, summary, too_many_failed, training_arguments
from tikval.config import SweepConfig, TextEncoder, UserError
from tikval.config.train import changed
from tikval.files import delete, write_bytes
from tikval.finetune.examples import Examples
from tikval.finetune.inputs import (
    folds_of_config,
    inputs_of,
    load_examples,
    pin_encoder,
    pretrained_encoders,
    state_of,
)
from tikval.finetune.memory import memory_needs
from tikval.finetune.tracking import Tracker
from tikval.finetune.training import Training
from tikval.finetune.trial import Given, Trial, attempt, inner, ranked_trials
from tikval.finetune.trial_files import TrialFiles, read_trials, write_trials
from tikval.flow.session import start_ray
from tikval.flow.train import memory_of_a_training
from tikval.stats.folds import Fold, to_json
from tikval.store.folder import Folder, FolderRun
from tikval.store.progress import StageProgress


@dataclass(frozen=True)
class Plan:
    """What a sweep comes to, before any trial."""

    examples: Examples
    inputs: dict[str, str]
    given: dict[str, Given]  # what the trials of each fold learn from
    folds: list[Fold]
    encoder: TextEncoder | None  # at the commit that all trials begin with
    state: str  # of what is learnt from


def run(config: SweepConfig) -> FolderRun:
    """Try settings in every fold, and write the best as a configuration of jobs.finetune."""
    folder, begin = Folder(config.folder), time.monotonic()
    plan = prepare(config)
    tracker = Tracker(config, "-".join(plan.inputs.values())) if config.mlflow else None
    if isinstance(plan, FolderRun):
        trials = read_trials(folder)
        _warn(tracker.log(trials) if tracker else None)
        _say(config, trials)
        return plan
    with folder.lock():
        if plan.encoder and config.finetune.encoder is None:
            folder.keep_commits({plan.encoder.model: plan.encoder.revision})
        write_bytes(f"{folder.uri}/folds.json", to_json(plan.folds).encode())
        trials = _try(config, folder, plan, tracker)
        _warn(tracker.log(trials) if tracker else None)
        _write_best(config, folder, plan, trials)
        run = write_trials(config, folder, trials, plan.inputs, time.monotonic() - begin)
    _say(config, trials)
    return run


def prepare(config: SweepConfig, dry_run: bool = False) -> Plan | FolderRun:
    """What is to be tried; or what was, where nothing changed since. Raises UserError for what cannot work."""
    folder = Folder(config.folder)
    try:
        examples = load_examples(config.finetune)
        inputs = inputs_of(config.finetune, examples)
        before = folder.run()
        if not dry_run and before and before.inputs == inputs:
            return before
        plan = _plan(config, folder, examples, inputs)
        _check(config, plan, say=dry_run)
        return plan
    except (ValueError, OSError) as err:  # a model that the hub or the disk does not have is an OSError
        raise UserError(" ".join(str(err).split())[:500]) from err


def _plan(config: SweepConfig, folder: Folder, examples: Examples, inputs: dict[str, str]) -> Plan:
    if find_spec("optuna") is None:
        raise UserError('optuna is not installed: pip install "tikval[sweep]"')
    finetune = config.finetune
    folds = folds_of_config(finetune, examples)
    encoders: Mapping[str, TextEncoder] = {}
    if isinstance(finetune.model, TextEncoder) and finetune.encoder:
        encoders = pretrained_encoders(finetune.encoder, folds)
    elif isinstance(finetune.model, TextEncoder):
        encoders = dict.fromkeys((fold.name for fold in folds), pin_encoder(folder, finetune.model))
    given = {}
    for fold in folds:
        model = finetune.model
        if fold.name in encoders:
            begins = encoders[fold.name]
            model = model.model_copy(update={"model": begins.model, "revision": begins.revision})
        # the first seed of a fine-tuning, so that a trial's scores are those which it will have
        training = Training(fold, 0, model, finetune.fit)
        given[fold.name] = inner(examples, training, finetune.protocol.threshold)
    encoder = None if finetune.encoder else next(iter(encoders.values()), None)
    return Plan(examples, inputs, given, folds, encoder, state_of(finetune, examples, folds, inputs))


def _check(config: SweepConfig, plan: Plan, say: bool) -> None:
    """What a run would do, and whether it can; warns of settings in the space whose trials will fail.

    Raises UserError where there are no others.
    """
    examples, first = plan.examples, plan.folds[0]
    said = [
        f"{len(examples.ids)} rows, {len(examples.failed)} without a text or vector, {len(examples.labels)} labels",
        f"{len(plan.folds)} folds, {config.trials} trials in each; rows of the first: {len(first.train)} train, "
        f"{len(first.validation)} validation",
        *(f"{key}: {axis}" for key, axis in config.space.items()),
    ]
    if config.own is None:
        said.append("the configuration's own settings lie outside the space and are not tried")
    begins = plan.given[first.name].training.model
    if isinstance(begins, TextEncoder):
        needs, wrong = _needs(config, begins)
        if not needs:
            raise UserError(f"no trial can be trained: {wrong[0]}")
        for each in wrong:
            _warn(f"cannot be trained: {each}")
        said.append("the largest trial:")
        said += [f"{name}: {value}" for name, value in max(needs, key=itemgetter("total_bytes")).items()]
    if say:
        print("\n".join(said))


def _needs(config: SweepConfig, begins: TextEncoder) -> tuple[list[dict[str, Any]], list[str]]:
    """What trainings of all sizes in the space need; and settings whose trials will fail, with the reason."""
    room, found, wrong = memory_of_a_training(config.pool, 1), [], []
    for settings in config.sizes:
        model, fit = changed(begins, config.finetune.fit, settings)
        assert isinstance(model, TextEncoder)
        try:
            needs = memory_needs(model, fit, available=room)
            if needs["fits"] is False:
                gib = needs["total_bytes"] / 2**30
                raise ValueError(f"a trial needs about {gib:.1f} GiB and has {(room or 0) / 2**30:.1f}")
        except ValueError as err:
            said = " ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())
            wrong.append(f"{said}: {err}" if said else str(err))
        else:
            found.append(needs)
    return found, wrong


def _try(config: SweepConfig, folder: Folder, plan: Plan, tracker: Tracker | None) -> list[Trial]:
    """All trials, those of earlier runs and those of this one, by fold and number."""
    files = TrialFiles(folder, plan.state)
    trials = [trial for fold in plan.given for trial in files.read(fold)]
    _warn(tracker.log(trials) if tracker else None)
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
                _warn(tracker.log([trial]) if tracker else None)

            run_trials(config, attempt, plan.given, config.own, list(trials), finished)
    return sorted(trials, key=lambda trial: (list(plan.given).index(trial.fold), trial.number))


def _write_best(config: SweepConfig, folder: Folder, plan: Plan, trials: Sequence[Trial]) -> None:
    """best.yaml: the fine-tuning as it was, at the commit that was tried, and each fold's best settings."""
    best = {fold: ranked_trials(_of_fold(trials, fold), config.finetune.fit.best_by) for fold in plan.given}
    if not any(best.values()):
        delete(f"{folder.uri}/best.yaml")
        return
    said = config.finetune.model_dump(mode="json")
    if plan.encoder:
        said["model"]["revision"] = plan.encoder.revision
    said["by_fold"] = {fold: each[0].settings for fold, each in best.items() if each}
    head = (
        f"# Written by jobs.sweep ({config.fingerprint}): the best of {config.trials} trials of each fold, chosen on\n"
        f"# its validation rows.\n#\n#   python -m jobs.finetune {folder.uri}/best.yaml\n"
    )
    write_bytes(f"{folder.uri}/best.yaml", (head + yaml.safe_dump(said, sort_keys=False)).encode())


def _of_fold(trials: Sequence[Trial], fold: str) -> list[Trial]:
    return [trial for trial in trials if trial.fold == fold]


def _say(config: SweepConfig, trials: Sequence[Trial]) -> None:
    """For people: the best of each fold, and where the configuration's own settings stand among all."""
    best_by = config.finetune.fit.best_by
    any_best = False
    for fold in dict.fromkeys(trial.fold for trial in trials):
        mine = _of_fold(trials, fold)
        order = ranked_trials(mine, best_by)
        if not order:
            _warn(f"{fold}: no trial came to a score ({mine[0].detail}); best.yaml leaves it as it was")
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


def _warn(said: str | None) -> None:
    if said:
        print(f"sweep: warning: {said}", file=sys.stderr)


def main() -> None:
    """Several configurations are swept one after another; overrides hold for all of them."""

    def work() -> int:
        configs, dry_run = training_arguments(SweepConfig, "sweep")
        worst = 0
        for config in configs:
            if dry_run:
                prepare(config, dry_run=True)
            else:
                done = run(config)
                print(summary(config, done))
                worst = max(worst, FAILED if too_many_failed(config, done) else 0)
        return worst

    sys.exit(guard(work))


if __name__ == "__main__":
    main()
