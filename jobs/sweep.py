"""A fine-tuning's space of settings -> the best of each fold, chosen inside that fold's training part.

python -m jobs.sweep configs/paper/roberta_sweep.yaml
python -m jobs.finetune out/paper/sweep-FINGERPRINT/best.yaml

    for each fold:  training rows -> trials -> scores on its validation rows -> best settings

No trial is given a test row: each fold has a study of its own. A trial's file is written when it ends; the same command
after a kill runs what is left.
"""

import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import pyarrow as pa
import yaml

from tikval.config import SweepConfig, TextEncoder, UserError
from tikval.files import delete, list_files, read_bytes, write_bytes, write_table
from tikval.finetune.examples import Examples
from tikval.finetune.folds import Fold, to_json
from tikval.finetune.lesson import Training
from tikval.finetune.trial import Given, Trial, attempt, inner, ranked
from tikval.flow.folder import Folder, Run
from tikval.flow.learn import folds_of, inputs_of, load_examples, pin_encoder, pretrained_encoders, state_of
from tikval.flow.main import main
from tikval.flow.progress import StageProgress
from tikval.flow.session import start_ray
from tikval.flow.track import Tracker

_SCHEMA = pa.schema(
    [
        ("fold", pa.string()),
        ("number", pa.int32()),
        ("settings", pa.string()),  # JSON
        ("score", pa.float64()),
        ("epochs", pa.int32()),
        ("seconds", pa.float64()),
        ("stopped_early", pa.bool_()),
        ("error", pa.string()),
        ("detail", pa.string()),
        ("history", pa.string()),  # JSON: loss and score of each epoch
    ]
)


@dataclass(frozen=True)
class Plan:
    """What a sweep comes to, before any trial."""

    given: dict[str, Given]  # what the trials of each fold learn from
    folds: list[Fold]
    encoder: TextEncoder | None  # at the commit that all trials begin with
    state: str  # of what is learnt from


def run(config: SweepConfig) -> Run:
    """Try settings in every fold, and write the best as a configuration of jobs.finetune."""
    folder, begin = Folder(config.folder), time.monotonic()
    try:
        examples = load_examples(config.finetune)
        inputs = inputs_of(config.finetune, examples)
        before = folder.run()
        done_before = before is not None and before.inputs == inputs
        plan = None if done_before else _plan(config, folder, examples, inputs)
    except (ValueError, OSError) as err:  # a model that the hub or the disk does not have is an OSError
        raise UserError(" ".join(str(err).split())[:500]) from err
    if plan is None:
        assert before is not None
        trials = _of_table(folder)
        if config.mlflow:
            _warn(Tracker(config, "-".join(inputs.values())).log(trials))
        _say(config, trials)
        return before
    tracker = Tracker(config, "-".join(inputs.values())) if config.mlflow else None
    with folder.lock():
        if plan.encoder and config.finetune.encoder is None:
            folder.keep_commits({plan.encoder.model: plan.encoder.revision})
        write_bytes(f"{folder.uri}/folds.json", to_json(plan.folds).encode())
        trials = _try(config, folder, plan, tracker)
        if tracker:
            _warn(tracker.log(trials))
        _write_best(config, folder, plan, trials)
        run = _write_table(config, folder, trials, inputs, time.monotonic() - begin)
    _say(config, trials)
    return run


def _plan(config: SweepConfig, folder: Folder, examples: Examples, inputs: dict[str, str]) -> Plan:
    if find_spec("optuna") is None:
        raise UserError('optuna is not installed: pip install "tikval[sweep]"')
    finetune = config.finetune
    folds = folds_of(finetune, examples)
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
    return Plan(given, folds, encoder, state_of(finetune, examples, folds, inputs))


def _try(config: SweepConfig, folder: Folder, plan: Plan, tracker: Tracker | None) -> list[Trial]:
    """All trials, those of earlier runs and those of this one, by fold and number."""
    place = f"{folder.uri}/trials/{plan.state}"
    trials = [trial for fold in plan.given for trial in _read(f"{place}/{fold}")]
    _warn(tracker.log(trials) if tracker else None)
    total = config.trials * len(plan.given)
    left = total - len(trials)
    if left > 0:
        start_ray()
        from tikval.flow.tune import run_trials  # seconds of import that a finished sweep does not need

        with StageProgress(config.stage, left, len(trials), folder.uri) as progress:

            def finished(trial: Trial) -> None:
                write_bytes(f"{place}/{trial.fold}/{trial.number:04}.json", trial.to_json().encode())
                trials.append(trial)
                progress.advance(1, {trial.error: 1} if trial.error else {})
                _warn(tracker.log([trial]) if tracker else None)

            run_trials(config, attempt, plan.given, config.own, list(trials), finished)
    return sorted(trials, key=lambda trial: (list(plan.given).index(trial.fold), trial.number))


def _read(place: str) -> list[Trial]:
    return [Trial.from_json(read_bytes(f"{place}/{name}") or b"") for name in list_files(place, ".json")]


def _write_best(config: SweepConfig, folder: Folder, plan: Plan, trials: Sequence[Trial]) -> None:
    """best.yaml: the fine-tuning as it was, at the commit that was tried, and each fold's best settings."""
    best = {fold: ranked(_of_fold(trials, fold), config.finetune.fit.best_by) for fold in plan.given}
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


def _write_table(
    config: SweepConfig, folder: Folder, trials: Sequence[Trial], inputs: dict[str, str], seconds: float
) -> Run:
    rows = [
        asdict(trial)
        | {
            "settings": json.dumps(trial.settings),
            "epochs": len(trial.history),
            "history": json.dumps(trial.history),
        }
        for trial in trials
    ]
    name = f"data-{secrets.token_hex(8)}.parquet"
    write_table(f"{folder.uri}/{name}", pa.Table.from_pylist(rows, schema=_SCHEMA))
    failed: dict[str, int] = {}
    for trial in trials:
        if trial.error:
            failed[trial.error] = failed.get(trial.error, 0) + 1
    run = folder.write_run(config, [name], inputs, len(rows), failed, seconds)
    for stale in set(folder.parts()) - {name}:
        delete(f"{folder.uri}/{stale}")
    return run


def _of_table(folder: Folder) -> list[Trial]:
    trials = []
    for row in folder.read().to_pylist():
        del row["epochs"]
        plain = row | {"settings": json.loads(row["settings"]), "history": tuple(json.loads(row["history"]))}
        trials.append(Trial(**plain))
    return trials


def _of_fold(trials: Sequence[Trial], fold: str) -> list[Trial]:
    return [trial for trial in trials if trial.fold == fold]


def _say(config: SweepConfig, trials: Sequence[Trial]) -> None:
    """For people: the best of each fold, and where the configuration's own settings stand among all."""
    best_by = config.finetune.fit.best_by
    any_best = False
    for fold in dict.fromkeys(trial.fold for trial in trials):
        mine = _of_fold(trials, fold)
        order = ranked(mine, best_by)
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


if __name__ == "__main__":
    main(SweepConfig, run)
