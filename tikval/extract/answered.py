"""A PredictionRow of what a language model answered: the columns that every reader of replies fills alike."""

from collections.abc import Mapping
from typing import Any, Final

from tikval.codebook import Codebook
from tikval.config import CriticExtractor, LlmExtractor
from tikval.rows import PredictionRow

_OF_CALL: Final = ("attempt", "tokens_in", "tokens_out", "cost_usd", "ledger_key", "model_served")


class AnsweredRows:
    """Makes the rows of one system, by one prompt."""

    def __init__(
        self, system: str, codebook: Codebook, extractor: LlmExtractor | CriticExtractor, prompt_sha: str
    ) -> None:
        self.columns = {
            "system": system,
            "label_set": codebook.label_set,
            "sample": extractor.sample,
            "model": extractor.llm.model,
            "prompt_sha": prompt_sha,
        }

    def __call__(self, row: Any, result: Mapping[str, Any]) -> PredictionRow:
        """The row of an answer; `result`: what was read of it. Other keys than a prediction's are left out."""
        known = PredictionRow.__annotations__
        prediction: PredictionRow = dict.fromkeys(known) | {  # type: ignore[assignment]
            **{name: result[name] for name in result if name in known},
            **{name: row[name] for name in ("video_id", "row_key", *_OF_CALL)},
            **self.columns,
        }
        return prediction
