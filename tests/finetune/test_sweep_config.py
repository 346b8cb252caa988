"""What a sweep's configuration takes and refuses, and where the configuration's own settings lie in its space."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from tests.finetune.test_sweep_job import SPACE, write_sweep
from tikval.config import SweepConfig, UserError, load_config


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"space": {"fit.best_by": {"values": ["loss"]}}}, "best_by is no setting"),
        ({"space": {"fit.rate": {"low": 1, "high": 2}}}, "fit.rate: no setting"),
        ({"space": {"model.model": {"values": ["a"]}}}, "model.model is no setting"),
        ({"space": {"fit.learning_rate": {"low": 0, "high": 1}}}, "learning_rate: 0"),
        ({"space": {"fit.batch_rows": {"low": 4, "high": 8}}}, "batch_rows: 5.27"),
        ({"space": {"fit.batch_rows": {"low": 4, "high": 8.5, "whole": True}}}, "whole numbers"),
        ({"space": {"fit.heads": {"values": ["multilabel", "per_label"]}}}, "other thresholds"),
        ({"grace_epochs": 3}, "more than fit.epochs"),
        ({"study": {"workers": 2}}, "a trial is one process"),
        ({"study": {"protocol": {"name": "paper", "partitions": 1, "threshold": 0.5}}}, "no validation rows"),
        ({"study": {"by_fold": {"p0-f0": {"model.dropout": 0.1}}}}, "which a sweep writes"),
    ],
)
def test_what_cannot_be_swept_is_refused(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_config(SweepConfig, str(write_sweep(tmp_path, **keys)), [])


@pytest.mark.parametrize(
    "uri",
    [
        "https://me:hunter2@mlflow.example/",
        "https://hunter2@mlflow.example",
        "http://me:hun/ter2@mlflow.example",  # no address in earnest, and still a password
        "postgresql+psycopg2://me:hunter2@db/mlflow",
        "sqlite+pysqlcipher://:hunter2@/mlflow.db",
        "me:hunter2@mlflow.example",
        "postgresql://db/mlflow?user=me&password=hunter2",
        "https://mlflow.example/?access_token=hunter2",
    ],
)
def test_an_address_with_a_password_in_it_is_refused_and_not_repeated(tmp_path: Path, uri: str) -> None:
    path = str(write_sweep(tmp_path, mlflow={"tracking_uri": uri}))
    with pytest.raises(UserError, match="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD") as caught:
        load_config(SweepConfig, path, [])
    text = "".join(traceback.format_exception(caught.value))
    assert "mlflow.tracking_uri" in text
    assert not any(secret in text for secret in ("hunter2", "ter2", "me:"))


@pytest.mark.parametrize(
    "uri",
    [
        "https://mlflow.example:5000/api",
        "postgresql://db/mlflow",
        "sqlite:///run@home/mlflow.db",
        "http://[::1]:5000/?workspace=passages",
    ],
)
def test_an_address_without_a_password_is_taken(tmp_path: Path, uri: str) -> None:
    config = load_config(SweepConfig, str(write_sweep(tmp_path, mlflow={"tracking_uri": uri})), [])
    assert config.mlflow is not None
    assert config.mlflow.tracking_uri == uri


def test_own_settings_come_first_where_they_lie_in_the_space(tmp_path: Path) -> None:
    path = str(write_sweep(tmp_path))
    config = load_config(SweepConfig, path, [])
    assert config.own == {"fit.learning_rate": 0.01, "model.dropout": 0}

    def other(**axis: Any) -> SweepConfig:
        key = "fit.learning_rate" if "low" in axis else "model.dropout"
        return load_config(SweepConfig, path, [("space", SPACE | {key: axis})])

    assert other(values=[0.2]).own is None
    assert other(low=0.001, high=0.002).own is None
    assert other(values=[0, 0.2, 0.3]).fingerprint != config.fingerprint
