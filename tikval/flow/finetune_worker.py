"""What a worker of Ray Train does in a fine-tuning: one training, and what it leaves in the folder."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from tikval.config import FinetuneConfig
from tikval.files import delete, write_table
from tikval.finetune.examples import Examples
from tikval.finetune.inference import keep
from tikval.finetune.loop import Epoch, State
from tikval.finetune.training import TrainedModel, Training, model_facts, save_weights, train_model
from tikval.finetune.training_results import ResultRows, result_name
from tikval.flow.train import Worker

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
            numbers = {"epoch": epoch.epoch, "head": epoch.head, "score": epoch.score, "loss": epoch.loss}
            worker.report(numbers, {_STATE: now.save, _BEST: partial(torch.save, best)})

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
        table = ResultRows(self.config, self.examples)(training, learnt)
        history = json.dumps([asdict(epoch) for epoch in learnt.history])
        facts = {"history": history, "cut_rows": str(learnt.cut_rows), "lost_tokens": str(learnt.lost_tokens)}
        # last: what has it is finished
        write_table(
            f"{folder}/{result_name(training, self.state)}",
            table.replace_schema_metadata({"tikval": json.dumps(facts)}),
        )
