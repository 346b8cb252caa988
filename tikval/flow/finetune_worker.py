"""What a worker of a fine-tuning does, and what it leaves in the folder: a model, and rows of what it says."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa

from tikval.config import FinetuneConfig, TextEncoder
from tikval.files import delete, read_schema, write_table
from tikval.finetune.examples import Examples
from tikval.finetune.inference import keep
from tikval.finetune.loop import Epoch, State
from tikval.finetune.prediction_rows import prediction_columns
from tikval.finetune.training import TrainedModel, Training, model_facts, save_weights, train_model
from tikval.flow.train import Worker
from tikval.hub.pin import served
from tikval.rows import PredictionRow, arrow_schema
from tikval.store.folder import Folder

_STATE: Final = "state.pt"
_BEST: Final = "best.pt"


@dataclass(frozen=True)
class FinetuneWorker:
    """One training in each of its workers."""

    config: FinetuneConfig
    examples: Examples
    state: str

    def __call__(self, training: Training, worker: Worker) -> None:
        import torch

        resume, best = None, dict[int, Any]()
        with worker.checkpoint() as place:
            if place is not None:
                with (place / _STATE).open("rb") as file:
                    resume = State.load(file)
                best = torch.load(place / _BEST, map_location="cpu", weights_only=True)

        def on_epoch(epoch: Epoch, now: State) -> None:
            if epoch.best:
                best[epoch.head] = {name: value.detach().cpu().clone() for name, value in now.model.items()}
            said = {"epoch": epoch.epoch, "head": epoch.head, "score": epoch.score, "loss": epoch.loss}
            worker.report(said, {_STATE: now.save, _BEST: partial(torch.save, best)})

        learnt = train_model(
            self.examples,
            training,
            self.config.protocol.threshold,
            on_epoch=on_epoch,
            resume=resume,
            device=worker.device,
            rank=worker.rank,
            world=worker.world,
        )
        if worker.rank == 0:
            self._write(training, learnt, best)

    def _write(self, training: Training, learnt: TrainedModel, best: dict[int, Any]) -> None:
        folder = self.config.folder
        place = f"{folder}/models/{training.name}"
        if self.config.keep_models == "best":
            keep(place, training.model, save_weights(best), model_facts(self.examples, training, learnt))
        else:
            delete(f"{place}/model.json")  # of an earlier training, which is no longer this one's
        table = Rows(self.config, self.examples)(training, learnt)
        history = json.dumps([asdict(epoch) for epoch in learnt.history])
        facts = {"history": history, "cut_rows": str(learnt.cut_rows), "lost_tokens": str(learnt.lost_tokens)}
        # last: what has it is finished
        write_table(
            f"{folder}/{result_name(training, self.state)}",
            table.replace_schema_metadata({"tikval": json.dumps(facts)}),
        )


def result_name(training: Training, state: str) -> str:
    """Of one training's rows in its folder; `state` is that of what it learnt from."""
    return f"_training-{training.name}-{state}.parquet"


class Rows:
    """PredictionRows of one training's test rows."""

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
    said = json.loads(read_schema(f"{folder.uri}/{name}").metadata[b"tikval"])
    return {
        "training": name.split("-", 1)[1].rsplit("-", 2)[0],
        **said,
        "history": json.loads(said["history"]),
    }
