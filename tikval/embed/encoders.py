"""The three models: frames, sound and text -> one vector each, in batches.

N clips, T frames, H x W pixels, S samples, P patches or positions in time, D width of a model's vector.
Preprocessing equals the models' own processors, but runs on whole batches and on the model's device.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tikval.config import EmbedConfig, Pictures, Sound
from tikval.embed import attention
from tikval.embed.plan import EmbeddingPlan, PicturePlan, SoundPlan
from tikval.hub.pin import served
from tikval.hub.sentences import load_encoder
from tikval.machine import cores
from tikval.media.reading import SAMPLE_RATE

Vectors = NDArray[np.float32]  # [N, D]


class Encoders(NamedTuple):
    """The encoders of the modalities that are on, and what answers by their names."""

    pictures: Callable[[Sequence[NDArray[np.uint8]]], Vectors] | None  # of [T, H, W, 3]
    sound: Callable[[Sequence[NDArray[np.int16]]], Vectors] | None  # of [S], S may differ
    text: Callable[[Sequence[str]], Vectors] | None
    served: str


Load = Callable[[EmbedConfig, EmbeddingPlan], Encoders]


def load_encoders(config: EmbedConfig, plan: EmbeddingPlan) -> Encoders:
    """The models on the GPU where there is one, else on `threads` cores."""
    names = []
    pictures = sound = text = None
    if config.video and plan.pictures:
        pictures = PictureEncoder(config, config.video, plan.pictures)
        names.append(served(config.video.model, plan.pictures.commit))
    if config.sound and plan.sound:
        sound = SoundEncoder(config, config.sound, plan.sound)
        names.append(served(config.sound.model, plan.sound.commit))
    if config.text and plan.text:
        text, name = load_encoder(config.text.model, plan.text.commit)
        names.append(name)
    if device() == "cpu":  # last: loading the text's model sets it too
        torch.set_num_threads(config.threads or _cores_of_one(config))
    return Encoders(pictures, sound, text, " + ".join(names))


class PictureEncoder:
    def __init__(self, config: EmbedConfig, video: Pictures, plan: PicturePlan) -> None:
        self.pooling = video.pooling
        self.device, self.dtype = device(), getattr(torch, config.precision)
        self.model = _load(video.model, plan.commit, self.device, self.dtype)
        if _computes_in_half(self.device, self.dtype) and not config.compile:
            attention.use_tiles(self.model)
        self.forward = torch.compile(self.model) if config.compile else self.model
        # a graph that is compiled, and a GPU's kernels that are tuned, are of one shape
        self.batch = (config.encode_pool.batch_rows or 1) if self.device != "cpu" or config.compile else None
        scale = torch.tensor(plan.scale, dtype=torch.float32)
        mean, std = torch.tensor(plan.mean), torch.tensor(plan.std)
        self.gain_C = (scale / std).to(self.device)
        self.bias_C = (mean / std).to(self.device)

    @torch.inference_mode()
    def __call__(self, clips: Sequence[NDArray[np.uint8]]) -> Vectors:
        """Vectors [N, D] of clips [T, H, W, 3]."""
        clips_NTHWC = np.stack(clips)
        missing = -len(clips) % self.batch if self.batch else 0
        if missing:
            clips_NTHWC = np.pad(clips_NTHWC, ((0, missing), *[(0, 0)] * 4))
        y_ND = _pooled(self.forward(pixel_values=self.prepare(clips_NTHWC)).last_hidden_state, self.pooling)
        return _numpy(y_ND[: len(clips)])

    def prepare(self, clips_NTHWC: NDArray[np.uint8]) -> torch.Tensor:
        """What the model takes, [N, T, C, H, W]."""
        pixels = torch.from_numpy(clips_NTHWC).to(self.device, non_blocking=True)
        x_NTHWC = torch.addcmul(-self.bias_C, pixels.float(), self.gain_C)
        return x_NTHWC.to(self.dtype).permute(0, 1, 4, 2, 3)


class SoundEncoder:
    def __init__(self, config: EmbedConfig, sound: Sound, plan: SoundPlan) -> None:
        self.plan, self.padding = plan, sound.padding
        self.samples = round(sound.seconds * SAMPLE_RATE)
        self.device, self.dtype = device(), getattr(torch, config.precision)
        self.model = _load(sound.model, plan.commit, self.device, self.dtype)
        if not plan.masked and _computes_in_half(self.device, self.dtype):
            attention.use_tiles(self.model)

    def __call__(self, sounds: Sequence[NDArray[np.int16]]) -> Vectors:
        """Vectors [N, D] of sounds [S].

        Sound of one length goes through the model together. Wav2Vec2-Base normalises its first layer over time, so
        zeros after a shorter sound would change all of it: by default each length is a batch of its own.
        """
        groups: dict[int, list[int]] = defaultdict(list)
        for index, sound in enumerate(sounds):
            groups[len(sound) if self.padding == "none" else self.samples].append(index)
        y_ND = np.empty((len(sounds), self.model.config.hidden_size), np.float32)
        for length, indices in groups.items():
            y_ND[indices] = self._encode([sounds[index] for index in indices], length)
        return y_ND

    @torch.inference_mode()
    def _encode(self, sounds: list[NDArray[np.int16]], length: int) -> Vectors:
        lengths_N = torch.tensor([len(sound) for sound in sounds])
        x_NS = np.zeros((len(sounds), length), np.float32)
        for row, sound in zip(x_NS, sounds, strict=True):
            row[: len(sound)] = self.prepare(sound)
        inputs = {"input_values": torch.from_numpy(x_NS).to(self.device, self.dtype)}
        if self.plan.masked:
            inputs["attention_mask"] = (torch.arange(length) < lengths_N[:, None]).long().to(self.device)
        y_NPD = self.model(**inputs).last_hidden_state.float()
        heard_N = self.model._get_feat_extract_output_lengths(lengths_N).to(self.device)
        heard_NP = torch.arange(y_NPD.shape[1], device=self.device) < heard_N[:, None]
        total_ND = torch.where(heard_NP[..., None], y_NPD, 0).sum(1)
        return _numpy(total_ND / heard_N[:, None])

    def prepare(self, sound: NDArray[np.int16]) -> NDArray[np.float32]:
        """What the model takes of one sound, [S]."""
        x = sound.astype(np.float32) / 32768
        if self.plan.normalise:
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-7)
        return x.astype(np.float32, copy=False)


def _cores_of_one(config: EmbedConfig) -> int:
    """Threads for one of the actors of this machine; 1 where their number is not fixed."""
    actors = config.encode_pool.actors
    return max(1, cores() // actors) if isinstance(actors, int) else 1


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _load(model: str, commit: str | None, place: str, dtype: torch.dtype) -> Any:
    from transformers import AutoModel, logging

    # a checkpoint's pre-training heads are left out on purpose, and transformers would list them
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    revision = commit or "main"
    network: Any = AutoModel.from_pretrained(model, revision=revision, dtype=dtype, trust_remote_code=False)
    return network.eval().to(place)


def _computes_in_half(place: str, dtype: torch.dtype) -> bool:
    return place == "cpu" and dtype != torch.float32


def _pooled(y_NPD: torch.Tensor, pooling: str) -> torch.Tensor:
    if pooling == "mean":
        return y_NPD.float().mean(1)
    return y_NPD.float().amax(1) if pooling == "max" else y_NPD[:, 0].float()


def _numpy(y_ND: torch.Tensor) -> Vectors:
    return y_ND.cpu().numpy().astype(np.float32, copy=False)
