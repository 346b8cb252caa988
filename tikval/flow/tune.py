"""The edge to Ray Tune: trials of several studies, one for each fold, in one pool.

    for each fold:  a search -> settings -> a trial (one process) -> ASHA: go on, or stop
                        ^------------ score ------------'

One Tuner runs the studies of all folds: `pool.actors` bounds the trials of all together, the fold with most left to do
is next, and no process waits while any fold has work. A Tuner for each fold would leave processes idle at each one's
end, or share them out beforehand. What is finished is handed over at once.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import optuna
import ray
from ray import tune

from tikval.config import Pool, SweepConfig, UserError
from tikval.finetune.trial import Trial
from tikval.flow.session import check_gpus, cpus, on_cluster
from tikval.flow.tune_search import Schedulers, Searches
from tikval.machine import ScratchFolder, cores
from tikval.rows import Reason

MAX_DEATHS: Final = 3  # of a trial's process, before it is given up
_QUIET: Final = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints a table at any verbosity
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of a configuration are relative to where the command was given
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the folder has tables of its own
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # or the first Ctrl-C would look like the end
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that fails reports no score
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}

# What the trials of a fold learn from, settings, where to report how it goes, and a device
Work = Callable[[Any, Mapping[str, Any], Callable[[dict[str, Any]], None], str], None]


def run_trials(
    config: SweepConfig,
    work: Work,
    given: Mapping[str, Any],
    own: Mapping[str, Any] | None,
    done: Sequence[Trial],
    finished: Callable[[Trial], None],
) -> None:
    """Try settings until each fold has `config.trials`; those `done` by earlier runs count.

    `given`: what the trials of a fold learn from, by its name; `own`: the settings to try first, None: none;
    `finished`: is called with each trial as it ends. Raises UserError where there is no GPU, and for trials whose
    processes died time and again; those are not finished.
    """
    _quiet_tune()
    check_gpus(config.pool.gpus)
    folds = list(given)
    search = Searches(config, folds, own, done)
    record = _Record(search, finished)
    held = {fold: ray.put(each) for fold, each in given.items()}  # once, however many trials
    with ScratchFolder() as place:
        tune.Tuner(
            _trainable(config.pool, work, held),
            tune_config=tune.TuneConfig(
                num_samples=sum(search.left.values()),
                max_concurrent_trials=_at_once(config.pool),
                search_alg=search,
                scheduler=Schedulers(config, folds, done, record.stopped),
                reuse_actors=True,  # a process takes seconds to load torch
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=place.path,
                verbose=0,
                callbacks=[record],
                failure_config=tune.FailureConfig(max_failures=MAX_DEATHS),
            ),
        ).fit()
    if record.died:
        raise UserError(
            f"{len(record.died)} trials ended without a word ({record.died[0]}); the same command tries again"
        )


def _quiet_tune() -> None:
    os.environ.update(_QUIET)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)


def _trainable(pool: Pool, work: Work, held: Mapping[str, Any]) -> Any:
    """What Ray Tune runs for each trial, with the resources it takes; `held`: references to what each fold is given."""
    return tune.with_resources(
        tune.with_parameters(_in_trial, held=held, work=work, pool=pool),
        {"cpu": pool.cpus, **({"gpu": pool.gpus} if pool.gpus else {})},
    )


def _at_once(pool: Pool) -> int:
    if pool.actors is not None:
        return pool.actors if isinstance(pool.actors, int) else pool.actors[1]
    room = (cpus() if on_cluster() else cores()) / max(pool.cpus, 0.01)
    if pool.gpus:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = min(room, resources.get("GPU", 0) / pool.gpus)
    return max(1, int(room))


class _Record(tune.Callback):
    """What each trial reported, and, when it is over, a Trial of it."""

    def __init__(self, search: Searches, finished: Callable[[Trial], None]) -> None:
        self.search, self.finished = search, finished
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.stopped: set[str] = set()
        self.died: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for the Tuner's copy of itself on disk, which nobody reads

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        self.results.setdefault(trial.trial_id, []).append(result)

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.results.pop(trial.trial_id, None)  # it begins anew

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        fold, number, settings = self.search.started[trial.trial_id]
        results = self.results.pop(trial.trial_id)
        error = results[-1].get("error")
        self.finished(
            Trial(
                fold,
                number,
                settings,
                score=None if error else results[-1]["score"],
                history=tuple(epoch for each in results for epoch in each.get("new", ())),
                seconds=round(results[-1]["time_total_s"], 3),
                stopped_early=trial.trial_id in self.stopped,
                error=Reason.NO_SCORE.value if error else None,
                detail=error,
            )
        )

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        fold, _, settings = self.search.started[trial.trial_id]
        self.died.append(f"{fold}, {json.dumps(settings)}: {' '.join(str(trial.get_error()).split())[-300:]}")


def _in_trial(config: dict[str, Any], *, held: Mapping[str, Any], work: Work, pool: Pool) -> None:
    import torch

    if pool.gpus:
        torch.cuda.empty_cache()  # of the trial before, in the same process
    else:
        torch.set_num_threads(max(1, int(pool.cpus)))
    device = "cuda" if pool.gpus else "cpu"
    try:
        work(ray.get(held[config["fold"]]), config["settings"], tune.report, device)
    except (ValueError, FloatingPointError, UserError, torch.OutOfMemoryError) as err:
        tune.report({"error": " ".join(str(err).split())[:300] or type(err).__name__, "over": True})
