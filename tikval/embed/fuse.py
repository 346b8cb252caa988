"""ClipRow -> EmbeddingRow: the encoders' vectors one after another (Appendix C.2: 768 + 768 + 384 = 1,920)."""

from typing import Any, cast

import numpy as np

from tikval.config import EmbedConfig
from tikval.embed.encoders import Load, load_encoders
from tikval.embed.plan import EmbeddingPlan
from tikval.rows import ClipRow, EmbeddingRow, Reason

_FLAG = {"pictures": "has_video", "sound": "has_sound", "text": "has_text"}


class ClipEncoder:
    """The stage: holds the models, and is called once per batch."""

    def __init__(self, config: EmbedConfig, plan: EmbeddingPlan, load: Load = load_encoders) -> None:
        self.places, self.width = plan.slices(), plan.width
        self.crop_px = plan.pictures.crop_px if plan.pictures else (0, 0)
        self.encoders = load(config, plan)
        self.model = " + ".join(part.model for part in (config.video, config.sound, config.text) if part)

    def __call__(self, rows: list[ClipRow]) -> list[EmbeddingRow]:
        good = [row for row in rows if row["error"] is None]
        vectors_ND = np.zeros((len(good), self.width), np.float32)
        flags: list[dict[str, bool]] = [{} for _ in good]
        for name, place in self.places.items():
            inputs = [self._input(row, name) for row in good]
            there = [index for index, item in enumerate(inputs) if item is not None]
            if there:
                vectors_ND[there, place] = getattr(self.encoders, name)([inputs[index] for index in there])
            for index, flag in enumerate(flags):
                flag[_FLAG[name]] = inputs[index] is not None
        done = zip(vectors_ND, flags, strict=True)
        return [
            self.failure(row, Reason(row["error"]), row["detail"])
            if row["error"] is not None
            else self._result(row, *next(done))
            for row in rows
        ]

    def _input(self, row: ClipRow, name: str) -> Any:
        """What an encoder takes of a row; None where the video has no such thing."""
        if name == "text":
            return row["text"]
        data = row["frames"] if name == "pictures" else row["sound"]
        if data is None:
            return None
        if name == "sound":
            return np.frombuffer(data, np.int16)
        return np.frombuffer(data, np.uint8).reshape(-1, *self.crop_px, 3)

    def _result(self, row: ClipRow, vector_D: np.ndarray, flags: dict[str, bool]) -> EmbeddingRow:
        if not np.isfinite(vector_D).all():  # half precision can overflow
            return self.failure(
                row, Reason.INTERNAL_ERROR, "a model's vector is not finite; try another precision"
            )
        found: dict[str, Any] = {
            "vector": vector_D,
            "content_sha": row["content_sha"],
            "model_served": self.encoders.served,
        }
        return cast(EmbeddingRow, self._row(row) | found | flags)

    def failure(self, row: ClipRow, reason: Reason, detail: str | None) -> EmbeddingRow:
        """The failure row of a video."""
        return cast(EmbeddingRow, self._row(row) | {"error": reason.value, "detail": detail})

    def _row(self, row: ClipRow) -> dict[str, Any]:
        empty: dict[str, Any] = dict.fromkeys(EmbeddingRow.__annotations__)
        known = {"video_id": row["video_id"], "row_key": row["row_key"], "attempt": row["attempt"]}
        return empty | known | {"model": self.model}
