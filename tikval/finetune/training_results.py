"""What a training leaves in its system's folder: a file of rows, with its history in the file's metadata."""

import json
from typing import Any

import pyarrow as pa

from tikval.config import FinetuneConfig, TextEncoder
from tikval.files import read_schema
from tikval.finetune.examples import Examples
from tikval.finetune.prediction_rows import prediction_columns
from tikval.finetune.training import TrainedModel, Training
from tikval.hub.pin import served
from tikval.rows import PredictionRow, arrow_schema
from tikval.store.folder import Folder


def result_name(training: Training, state: str) -> str:
    """The file of one training's rows in its folder; `state` is that of what it learnt from."""
    return f"_training-{training.name}-{state}.parquet"


class ResultRows:
    """The PredictionRows of one training's test rows."""

    def __init__(self, config: FinetuneConfig, examples: Examples) -> None:
        self.config, self.examples = config, examples

    def __call__(self, training: Training, learnt: TrainedModel) -> pa.Table:
        model = training.model
        name = served(model.model, model.revision) if isinstance(model, TextEncoder) else "mlp"
        place = {video_id: n for n, video_id in enumerate(self.examples.ids)}
        at = [self.examples.all_labels.index(label) for label in self.examples.labels]
        rows = []
        for video_id, probabilities in zip(learnt.ids, learnt.probabilities, strict=True):
            decisions = probabilities >= learnt.thresholds
            rows.append(
                self.row(
                    video_id,
                    self.examples.row_keys[place[video_id]],
                    training.fold.partition,
                    training.seed,
                    fold=training.fold.fold,
                    model_served=name,
                    **prediction_columns(len(self.examples.all_labels), at, probabilities, decisions),
                )
            )
        return pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow))

    def row(self, video_id: str, row_key: str, partition: int, seed: int, **result: Any) -> dict[str, Any]:
        return dict.fromkeys(PredictionRow.__annotations__) | {
            "video_id": video_id,
            "row_key": row_key,
            "attempt": 1,
            "system": self.config.system,
            "label_set": self.examples.label_set,
            "split": f"{self.config.protocol.name}-{partition}",
            "seed": seed,
            "model": getattr(self.config.model, "model", "mlp"),
            **result,
        }


def history_of(folder: Folder, name: str) -> dict[str, Any]:
    """Each epoch of one training, and what its texts lost where they were too long."""
    facts = json.loads(read_schema(f"{folder.uri}/{name}").metadata[b"tikval"])
    return {
        "training": name.split("-", 1)[1].rsplit("-", 2)[0],
        **facts,
        "history": json.loads(facts["history"]),
    }
