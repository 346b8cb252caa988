"""Trials in MLflow, beside a sweep's own table: a run for each, with its settings and how every epoch went."""

import json
import logging
import os
from collections.abc import Sequence
from typing import Any

from tikval.config import SweepConfig, UserError
from tikval.finetune.trial import Trial


class Tracker:
    """The MLflow runs of one sweep; what an earlier start logged is not logged again.

    Raises UserError without the package, and where nothing answers at `tracking_uri`.
    """

    def __init__(self, config: SweepConfig, state: str) -> None:
        assert config.mlflow is not None
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault(
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"
        )  # or a wrong address is tried for minutes
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as err:
            raise UserError('mlflow is not installed: pip install "tikval[mlflow]"') from err
        for name in ("mlflow", "alembic"):  # after the import, which sets levels of its own
            logging.getLogger(name).setLevel(logging.ERROR)
        self.failure = MlflowException
        self.tags = {"tikval.sweep": config.fingerprint, "tikval.state": state, "tikval.stage": config.stage}
        self.system, uri = config.finetune.system, config.mlflow.tracking_uri
        try:
            self.client = MlflowClient(tracking_uri=uri)
            known = self.client.get_experiment_by_name(config.mlflow.experiment)
            self.experiment = (
                known.experiment_id if known else self.client.create_experiment(config.mlflow.experiment)
            )
            self.logged = self._logged()
        except MlflowException as err:
            raise UserError(f"{uri}: MLflow cannot be used: {' '.join(str(err).split())[:300]}") from err

    def _logged(self) -> set[tuple[str, str]]:
        """Fold and number of the runs that are whole; one that a killed driver left is deleted."""
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in self.tags.items())
        found, token = set[tuple[str, str]](), None
        while True:
            page = self.client.search_runs([self.experiment], wanted, max_results=1000, page_token=token)
            for run in page:
                if run.info.status == "RUNNING":
                    self.client.delete_run(run.info.run_id)
                else:
                    found.add((run.data.tags["tikval.fold"], run.data.tags["tikval.trial"]))
            token = page.token
            if not token:
                return found

    def log(self, trials: Sequence[Trial]) -> str | None:
        """Log the trials not logged before. Returns what went wrong, if anything did; the next start tries again."""
        try:
            for trial in trials:
                if (trial.fold, str(trial.number)) not in self.logged:
                    self._log(trial)
                    self.logged.add((trial.fold, str(trial.number)))
        except self.failure as err:
            return " ".join(str(err).split())[:300]
        return None

    def _log(self, trial: Trial) -> None:
        from mlflow.entities import Metric, Param

        place = {"tikval.fold": trial.fold, "tikval.trial": str(trial.number)}
        error = {"tikval.error": trial.detail} if trial.detail else {}
        name = f"{self.system} {trial.fold} {trial.number}"
        run = self.client.create_run(self.experiment, tags={**self.tags, **place, **error}, run_name=name)
        now = int(run.info.start_time)
        metrics = [
            Metric(key, float(value), now, step)
            for step, epoch in enumerate(trial.history, 1)
            for key, value in _numbers(epoch).items()
        ]
        if trial.score is not None:
            metrics += [Metric("best", trial.score, now, 0), Metric("seconds", trial.seconds, now, 0)]
        params = [Param(key, json.dumps(value)) for key, value in trial.settings.items()]
        params.append(Param("stopped_early", json.dumps(trial.stopped_early)))
        self.client.log_batch(run.info.run_id, params=params)
        for begin in range(0, len(metrics), 1000):  # as many as a request may hold
            self.client.log_batch(run.info.run_id, metrics=metrics[begin : begin + 1000])
        self.client.set_terminated(run.info.run_id, "FINISHED" if trial.error is None else "FAILED")


def _numbers(epoch: dict[str, Any]) -> dict[str, float]:
    return {key: epoch[key] for key in ("train_loss", "loss", "score")}
