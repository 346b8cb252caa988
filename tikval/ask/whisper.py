"""Speech in any language by Whisper from transformers: for those who have the model and the time."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tikval.media.reading import SAMPLE_RATE, Segment


class Whisper:
    """A Whisper checkpoint, by hub name and revision or from a folder, on the GPU where there is one."""

    def __init__(self, model: str, revision: str | None = None) -> None:
        import torch  # deferred: seconds of import that only the actor pays
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        torch.set_num_threads(1)  # actors share the machine's cores
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        place: dict[str, Any] = {"revision": revision or "main"}
        self.processor = WhisperProcessor.from_pretrained(model, **place, trust_remote_code=False)
        network: Any = WhisperForConditionalGeneration.from_pretrained(
            model, **place, trust_remote_code=False
        )
        self.model = network.to(self.device)
        self.served = model if Path(model).is_dir() else f"{model}@{revision or 'main'}"

    def transcribe(self, sound: NDArray[np.int16]) -> tuple[list[Segment], str | None]:
        """Utterances of mono sound [S] at 16 kHz with their times, and the language (ISO 639-1) that was heard."""
        import torch

        segments: list[Segment] = []
        language: str | None = None
        window = 30 * SAMPLE_RATE  # what the model takes at once
        for start in range(0, len(sound), window):
            piece = sound[start : start + window].astype(np.float32) / 32768
            features = self.processor(
                piece, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True
            )
            inputs = features.input_features.to(self.device)
            with torch.inference_mode():
                if language is None:
                    token = self.model.detect_language(inputs)[0]
                    language = self.processor.tokenizer.decode(token).strip("<|>") or None
                tokens = self.model.generate(
                    inputs,
                    attention_mask=features.attention_mask.to(self.device),
                    language=language,
                    task="transcribe",
                    return_timestamps=True,
                    max_new_tokens=400,
                )
            segments += self._segments(tokens[0], start / SAMPLE_RATE, len(piece) / SAMPLE_RATE)
        return segments, language

    def _segments(self, tokens: object, start_seconds: float, seconds: float) -> list[Segment]:
        decoded = self.processor.tokenizer.decode(tokens, output_offsets=True, skip_special_tokens=True)
        segments = []
        for offset in decoded["offsets"]:
            begin, end = (min(at or 0.0, seconds) for at in offset["timestamp"])
            if text := offset["text"].strip():  # a last utterance that was cut off has no end
                segments.append(Segment(text, start_seconds + begin, start_seconds + (end or seconds)))
        if not segments and decoded["text"].strip():
            segments.append(Segment(decoded["text"].strip(), start_seconds, start_seconds + seconds))
        return segments
