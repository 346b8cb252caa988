"""Stand-ins with known answers. A real module, because Ray workers import what they unpickle."""

import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.rows import script
from tikval.config import EmbedConfig
from tikval.embed.plan import Plan
from tikval.hub.sentences import Encoder
from tikval.rows import Reason


def load_words(name: str, revision: str | None) -> tuple[Encoder, str]:
    """An encoder whose similarity is that of the words: hashed bags of words, of length 1."""

    def encode(sentences: Sequence[str]) -> np.ndarray:
        bags_ND = np.zeros((len(sentences), 512), np.float32)
        for n, sentence in enumerate(sentences):
            for word in sentence.lower().split():
                bags_ND[n, zlib.crc32(word.encode()) % 512] += 1
        return np.asarray(bags_ND / np.maximum(np.linalg.norm(bags_ND, axis=1, keepdims=True), 1e-9))

    return encode, f"words of {name}"


def load_touchy(name: str, revision: str | None) -> tuple[Encoder, str]:
    """The same with a bug: it breaks on one caption."""
    encode, served = load_words(name, revision)

    def touchy(sentences: Sequence[str]) -> np.ndarray:
        if any("they laughed at him and left him alone" in sentence.lower() for sentence in sentences):
            raise ValueError("not this one")
        return encode(sentences)

    return touchy, served


class SlowScripts:
    """A stage without models: a script for each video, three seconds a batch, and every second video fails."""

    def __call__(self, rows: list[Any]) -> list[Any]:
        time.sleep(3)
        return [self._answer(row) for row in rows]

    def _answer(self, row: Any) -> Any:
        if int(row["video_id"][1:]) % 2:
            return self.failure(row, Reason.TIMEOUT, "too slow")
        return script(row["video_id"], row_key=row["row_key"], attempt=row["attempt"])

    def failure(self, row: Any, reason: Reason, detail: str) -> Any:
        said = {"error": reason.value, "detail": detail}
        return script(row["video_id"], row_key=row["row_key"], attempt=row["attempt"], **said)


class SlowEncoder:
    """The real encoding stage, a tenth of a second a row, that leaves its process's number beside the results."""

    def __init__(self, config: EmbedConfig, plan: Plan) -> None:
        from tikval.embed.fuse import ClipEncoder

        self.stage = ClipEncoder(config, plan)
        (Path(config.out) / f"encoder-{os.getpid()}").touch()

    def __call__(self, rows: list[Any]) -> list[Any]:
        time.sleep(0.1 * len(rows))
        return list(self.stage(rows))

    def failure(self, row: Any, reason: Reason, detail: str) -> Any:
        return self.stage.failure(row, reason, detail)
