"""A study of scripts with trained systems whose finished folders were written by hand: no model, no Ray."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.catalog import run as run_catalog
from tests.rows import prediction, script
from tikval.config import CatalogConfig, ExtractConfig, FinetuneConfig, LlmExtractor, Protocol, ScriptConfig
from tikval.config.models import Gemini
from tikval.files import write_bytes
from tikval.finetune.folds import Fold, to_json
from tikval.flow.folder import Folder
from tikval.flow.learn import folds_of, load_examples
from tikval.rows import PredictionRow, ScriptRow, arrow_schema
from tikval.values import LABELS, SLUGS, binary

TRAINED = ("face+", "humility-")
AT = [LABELS.index(label) for label in TRAINED]
IDS = tuple(f"v{i:03}" for i in range(92))
BROKEN = IDS[90:]  # annotated, and without a script

Scores = Callable[
    [str, int, int], tuple[float, float] | None
]  # of a video, in a partition, with a seed; None: failed


class Study:
    """90 videos of 15 accounts, and two that nobody could read."""

    def __init__(self, root: Path) -> None:
        self.root, self.out = root, str(root / "out")
        rng = np.random.default_rng(0)
        self.truth = {name: (bool(rng.random() < 0.4), bool(rng.random() < 0.3)) for name in IDS}
        lines = ["path,account"]
        for i, name in enumerate(IDS):
            (root / f"{name}.mp4").write_bytes(b"x")
            lines.append(f"{name}.mp4,account{i % 15}")
        (root / "videos.csv").write_text("\n".join(lines))
        self.catalog = CatalogConfig(
            videos=str(root / "videos.csv"), annotations=str(root / "labels.csv"), out=self.out
        )
        self.scripts = ScriptConfig(videos=self.catalog, out=self.out)
        self.annotate()
        self.keys = {
            row["video_id"]: row["row_key"] for row in Folder(self.catalog.folder).read().to_pylist()
        }
        self._write(
            self.scripts,
            ScriptRow,
            [
                script(name, row_key=self.keys[name], **({"error": "unreadable"} if name in BROKEN else {}))
                for name in IDS
            ],
        )

    def annotate(self, turned: Iterable[str] = ()) -> None:
        """The truth as the annotations say it, of some videos the other way round."""
        turned = set(turned)
        lines = ["video_id,face,humility"]
        for name, said in self.truth.items():
            face, humility = (yes != (name in turned) for yes in said)
            lines.append(f"{name},{int(face)},{-int(humility)}")
        (self.root / "labels.csv").write_text("\n".join(lines))
        run_catalog(self.catalog)

    def noisy(self, noise: float, seed: int = 0) -> Callable[[str, int, int], tuple[float, float]]:
        """Scores that follow the truth, with errors of their own for each partition and seed."""

        def scores(name: str, partition: int, number: int) -> tuple[float, float]:
            rng = np.random.default_rng([seed, IDS.index(name), partition, number])
            z = 3 * np.array(self.truth[name]) - 1.5 + rng.normal(0, noise, 2)
            face, humility = 1 / (1 + np.exp(-z))
            return float(face), float(humility)

        return scores

    def trained(self, system: str, scores: Scores, seeds: int = 1, **keys: Any) -> FinetuneConfig:
        """A finished fine-tuning that gave these scores; threshold 0.5."""
        keys.setdefault("protocol", Protocol(partitions=2, seeds=seeds))
        keys.setdefault("labels", TRAINED)
        config = FinetuneConfig(scripts=self.scripts, out=self.out, system=system, **keys)
        examples = load_examples(config)
        folds = folds_of(config, examples)
        at = [LABELS.index(label) for label in examples.labels]

        def row(name: str, partition: int, number: int, fold: int | None) -> PredictionRow:
            said = None if fold is None else scores(name, partition, number)
            every: list[float | None] = [None] * len(LABELS)
            for place, score in zip(at, said or (), strict=False):
                every[place] = score
            changes: dict[str, Any] = {"error": "unreadable", "detail": "no"}
            if said:
                decisions = [None if score is None else score >= 0.5 for score in every]
                changes = {
                    "scores": every,
                    "decisions": decisions,
                    "abstained": False,
                    "fold": fold,
                    "model_served": f"{system}@1",
                }
            return prediction(
                name,
                row_key=self.keys[name],
                system=system,
                split=f"{config.protocol.name}-{partition}",
                seed=number,
                **changes,
            )

        parts = [(each.partition, each.fold, each.test) for each in folds]
        rows = [
            row(name, partition, number, fold)
            for number in range(config.protocol.seeds)
            for partition, fold, names in parts
            for name in names
        ]
        rows += [
            row(name, partition, number, None)
            for number in range(config.protocol.seeds)
            for partition in sorted({partition for partition, *_ in parts})
            for name in BROKEN
        ]
        write_bytes(f"{config.folder}/folds.json", to_json(folds).encode())
        self._write(config, PredictionRow, rows)
        return config

    def asked(self, system: str, answer: Callable[[str], list[int] | None], **gemini: Any) -> ExtractConfig:
        """A language model's finished stances [V] of every video; None: its reply could not be read."""
        extractor = LlmExtractor(llm=Gemini(model="gemini-of-a-test", **gemini))
        config = ExtractConfig(scripts=self.scripts, out=self.out, system=system, extractor=extractor)
        rows = []
        for name in IDS:
            said = None if name in BROKEN else answer(name)
            labels = [
                label for label, yes in zip(LABELS, binary(said or [0] * len(SLUGS)), strict=True) if yes
            ]
            changes: dict[str, Any] = (
                {"error": "bad_reply"} if said is None else {"stances": said, "scores": None}
            )
            rows.append(prediction(name, *labels, row_key=self.keys[name], system=system, **changes))
        self._write(config, PredictionRow, rows)
        return config

    def folds(self, config: FinetuneConfig) -> list[Fold]:
        return folds_of(config, load_examples(config))

    def _write(self, config: Any, kind: type, rows: list[Any]) -> None:
        folder = Folder(config.folder)
        part = folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(kind)))
        failed: dict[str, int] = {}
        for row in rows:
            if row["error"]:
                failed[row["error"]] = failed.get(row["error"], 0) + 1
        folder.write_run(config, [part], {}, len(rows), failed, 1.0)


def stances(face: int, humility: int) -> list[int]:
    """[V] of two values; all others absent."""
    said = [0] * len(SLUGS)
    said[SLUGS.index("face")], said[SLUGS.index("humility")] = face, humility
    return said
