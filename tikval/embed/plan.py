"""What a driver finds out of the models before any actor starts: commits, widths, and how their input is prepared.

The models' own configuration files state it; no model is loaded and torch is not imported.
"""

from dataclasses import dataclass
from typing import Any, Final

from tikval.config import EmbedConfig, OnScreenText, Pictures, Sound, UserError
from tikval.hub.bundled import MODEL, fetch
from tikval.hub.pin import pinned, read_json
from tikval.media.reading import SAMPLE_RATE

PREPARED: Final = "preprocessor_config.json"
_PICTURES: Final = frozenset(
    {"VideoMAEImageProcessor", "VideoMAEImageProcessorPil", "VideoMAEFeatureExtractor"}
)
_SOUND: Final = frozenset({"Wav2Vec2FeatureExtractor"})


@dataclass(frozen=True)
class PicturePlan:
    """A centre crop of pictures whose short side is `side_px`, then (x * scale - mean) / std for each colour."""

    commit: str | None
    width: int  # of the vector
    side_px: int
    crop_px: tuple[int, int]  # height, width
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class SoundPlan:
    commit: str | None
    width: int
    normalise: bool  # to mean 0 and variance 1 of each piece of sound
    masked: bool  # the model takes an attention mask


@dataclass(frozen=True)
class TextPlan:
    commit: str | None
    width: int


@dataclass(frozen=True)
class EmbeddingPlan:
    """The modalities in the order of the fused vector; None: switched off."""

    pictures: PicturePlan | None
    sound: SoundPlan | None
    text: TextPlan | None

    @property
    def width(self) -> int:
        """D of the fused vector."""
        return sum(part.width for part in (self.pictures, self.sound, self.text) if part)

    def slices(self) -> dict[str, slice]:
        """Where each modality that is on stands in the fused vector."""
        places, start = {}, 0
        for name in ("pictures", "sound", "text"):
            if part := getattr(self, name):
                places[name] = slice(start, start + part.width)
                start += part.width
        return places


def make_plan(config: EmbedConfig, commits: dict[str, str | None]) -> EmbeddingPlan:
    """`commits` are those that an earlier start of the same run pinned, by model name; new ones are added to it.

    Raises UserError where a model is missing, or is of a kind that this code does not prepare the input of.
    """

    def commit(model: str, revision: str | None) -> str | None:
        if model not in commits:
            commits[model] = pinned(model, revision)
        return commits[model]

    video, sound, text = config.video, config.sound, config.text
    return EmbeddingPlan(
        pictures=_pictures(video, commit(video.model, video.revision)) if video else None,
        sound=_sound(sound, commit(sound.model, sound.revision)) if sound else None,
        text=_text(text, commit) if text else None,
    )


def _pictures(config: Pictures, commit: str | None) -> PicturePlan:
    facts = _config(config.model, commit)
    taken = facts.get("num_frames", config.frames)
    if taken != config.frames:
        raise UserError(f"video.frames: {config.model} takes {taken} frames, not {config.frames}")
    payload = _processor(config.model, commit, "image_processor_type", _PICTURES)
    size, crop = payload.get("size"), payload.get("crop_size")
    side = size if isinstance(size, int) else (size or {}).get("shortest_edge")
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    if (
        not isinstance(side, int)
        or not crop
        or not payload.get("do_center_crop", True)
        or payload.get("resample", 2) != 2
    ):
        raise UserError(
            f"{config.model}: asks for other than a bilinear short side and a centre crop ({PREPARED})"
        )
    normalise = payload.get("do_normalize", True)
    return PicturePlan(
        commit=commit,
        width=_hidden(config.model, facts),
        side_px=side,
        crop_px=(int(crop["height"]), int(crop["width"])),
        scale=float(payload.get("rescale_factor", 1 / 255)) if payload.get("do_rescale", True) else 1.0,
        mean=tuple(payload["image_mean"]) if normalise else (0.0, 0.0, 0.0),
        std=tuple(payload["image_std"]) if normalise else (1.0, 1.0, 1.0),
    )


def _sound(config: Sound, commit: str | None) -> SoundPlan:
    payload = _processor(config.model, commit, "feature_extractor_type", _SOUND)
    if payload.get("sampling_rate", SAMPLE_RATE) != SAMPLE_RATE:
        raise UserError(
            f"{config.model}: takes sound of {payload['sampling_rate']} Hz, tikval has {SAMPLE_RATE} Hz"
        )
    return SoundPlan(
        commit=commit,
        width=_hidden(config.model, _config(config.model, commit)),
        normalise=bool(payload.get("do_normalize", True)),
        masked=bool(payload.get("return_attention_mask", False)),
    )


def _text(config: OnScreenText, commit_of: Any) -> TextPlan:
    if config.model == MODEL and config.revision is None:  # comes from a wheel, pinned by its hash
        return TextPlan(commit=None, width=_sentence_width(str(fetch()), None))
    commit = commit_of(config.model, config.revision)
    return TextPlan(commit=commit, width=_sentence_width(config.model, commit))


def _processor(model: str, commit: str | None, key: str, known: frozenset[str]) -> Any:
    """What the model's own processor is told. Raises UserError for one whose work is not done here."""
    payload = read_json(model, commit, PREPARED)
    if payload is None:
        raise UserError(f"{model}: has no {PREPARED}, which tells how its input is prepared")
    kind = payload.get(key) or payload.get("feature_extractor_type")
    if kind not in known:
        raise UserError(
            f"{model}: its input is prepared by {kind}; known are {', '.join(sorted(known))} ({PREPARED})"
        )
    return payload


def _sentence_width(model: str, commit: str | None) -> int:
    """The width of a SentenceTransformer: its last dense layer's, else the transformer's."""
    for module in reversed(read_json(model, commit, "modules.json") or []):
        if module["type"].endswith("Dense"):
            return int(read_json(model, commit, f"{module['path']}/config.json")["out_features"])
    return _hidden(model, _config(model, commit))


def _config(model: str, commit: str | None) -> Any:
    facts = read_json(model, commit, "config.json")
    if facts is None:
        raise UserError(f"{model}: has no config.json; a folder or hub model of transformers is wanted")
    return facts


def _hidden(model: str, facts: Any) -> int:
    if not isinstance(facts.get("hidden_size"), int):
        raise UserError(f"{model}: its config.json states no hidden_size")
    return int(facts["hidden_size"])
