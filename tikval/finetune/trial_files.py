"""A sweep's trials in its folder: a file of each from when it ends, and one table of all when the sweep is over."""

import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import pyarrow as pa

from tikval.config import SweepConfig
from tikval.files import delete, list_files, read_bytes, write_bytes, write_table
from tikval.finetune.trial import Trial
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun

_SCHEMA: Final = pa.schema(
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


class TrialFiles:
    """The files of the trials of one state of what is learnt from."""

    def __init__(self, folder: Folder, state: str) -> None:
        self.place = f"{folder.uri}/trials/{state}"

    def write(self, trial: Trial) -> None:
        """Write a trial's file, whole or not at all."""
        write_bytes(f"{self.place}/{trial.fold}/{trial.number:04}.json", trial.to_json().encode())

    def read(self, fold: str) -> list[Trial]:
        place = f"{self.place}/{fold}"
        return [Trial.from_json(read_bytes(f"{place}/{name}") or b"") for name in list_files(place, ".json")]


def write_trials(
    config: SweepConfig, folder: Folder, trials: Sequence[Trial], inputs: dict[str, str], seconds: float
) -> FolderRun:
    """The table of a sweep that is over, in the place of an earlier one."""
    rows = [
        {
            **asdict(trial),
            "settings": json.dumps(trial.settings),
            "epochs": len(trial.history),
            "history": json.dumps(trial.history),
        }
        for trial in trials
    ]
    name = f"data-{secrets.token_hex(8)}.parquet"
    write_table(f"{folder.uri}/{name}", pa.Table.from_pylist(rows, schema=_SCHEMA))
    failed = dict(Counter(trial.error for trial in trials if trial.error))
    run = folder.write_run(config, [name], inputs, len(rows), failed, seconds)
    for stale in set(folder.parts()) - {name}:
        delete(f"{folder.uri}/{stale}")
    return run


def read_trials(folder: Folder) -> list[Trial]:
    """The trials of a finished sweep."""
    trials = []
    for row in folder.read().to_pylist():
        del row["epochs"]
        plain = row | {"settings": json.loads(row["settings"]), "history": tuple(json.loads(row["history"]))}
        trials.append(Trial(**plain))
    return trials
