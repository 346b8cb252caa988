"""The paper's multimodal embedding (Appendix C.2) as a plain script: one video after another, one clip per call.

    python benchmarks/paper_embedding.py VIDEO...             # downloads the paper's three models
    python benchmarks/paper_embedding.py --random VIDEO...    # random weights of the same architectures, offline

Tikval is measured and checked against it, so it shares no code with tikval. Every picture is decoded in order; those
used become RGB at full size and go through VideoMAE's own processor. The sound is written as a WAV file that librosa
resamples. Tesseract reads with its defaults. What the paper leaves open is as one would do it first: the mean over
VideoMAE's patches, the first ten seconds of sound, zeros for a modality that is missing. The last line is one JSON
object.

H x W pixels, S samples of 16 kHz mono sound, D dimensions: 768 + 768 + 384 with the paper's models.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import librosa
import numpy as np
import pytesseract
import torch
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, VideoMAEImageProcessorPil, Wav2Vec2FeatureExtractor

FRAMES: Final = 16
KEY_FRAMES: Final = 3  # first, middle, last
SECONDS: Final = 10  # of sound
SAMPLE_RATE: Final = 16_000  # Hz

Picture = NDArray[np.uint8]  # [H, W, 3] RGB
Vector = NDArray[np.float32]  # [D]


@dataclass(frozen=True)
class PapersModels:
    """The three models, with the processors that their checkpoints come with."""

    videomae: Any
    image_processor: Any
    wav2vec2: Any
    feature_extractor: Any
    sentences: SentenceTransformer
    device: str


@dataclass(frozen=True)
class PaperEmbedding:
    """The vectors of one video; a modality that is missing is zeros."""

    vector: Vector  # [D] the three that follow, one after another
    pictures: Vector
    sound: Vector
    text: Vector
    has_sound: bool
    words: str  # what was read; empty: nothing was
    seconds: dict[str, float]  # wall clock of each stage


def load_papers_models(
    videomae: str | Path = "MCG-NJU/videomae-base",
    wav2vec2: str | Path = "facebook/wav2vec2-base",
    sentences: str | Path = "sentence-transformers/all-MiniLM-L6-v2",
    device: str = "cpu",
) -> PapersModels:
    """The three models from hub names or folders."""
    return PapersModels(
        AutoModel.from_pretrained(videomae).eval().to(device),
        # the one without "Pil" is another, with slightly other pixels, where torchvision is installed
        VideoMAEImageProcessorPil.from_pretrained(videomae),
        AutoModel.from_pretrained(wav2vec2).eval().to(device),
        Wav2Vec2FeatureExtractor.from_pretrained(wav2vec2),
        SentenceTransformer(str(sentences), device=device),
        device,
    )


def decode_frames(path: str | Path) -> list[VideoFrame]:
    """Every picture, as decoded and not turned where the video is rotated; all are held in memory."""
    with av.open(str(path)) as video:
        return list(video.decode(video=0))


def pick(frames: list[VideoFrame], count: int) -> list[Picture]:
    """`count` pictures from the first to the last, evenly spaced; of fewer frames some come several times."""
    return [
        frames[int(i)].to_ndarray(format="rgb24").astype(np.uint8, copy=False)
        for i in np.round(np.linspace(0, len(frames) - 1, count))
    ]


def load_sound(path: str | Path) -> NDArray[np.float32] | None:
    """The first ten seconds [S] in -1 to 1; None: there is no sound. By way of WAV, as librosa reads no MP4."""
    wav = io.BytesIO()
    with av.open(str(path)) as video, av.open(wav, "w", format="wav") as out:
        if not video.streams.audio:
            return None
        source = video.streams.audio[0]
        track = out.add_stream("pcm_s16le", rate=source.rate, layout=source.layout.name)
        assert isinstance(track, AudioStream)
        for frame in video.decode(audio=0):
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    wav.seek(0)
    samples, _ = librosa.load(wav, sr=SAMPLE_RATE, mono=True, duration=SECONDS)
    return samples if len(samples) else None


def embed_pictures(pictures: list[Picture], models: PapersModels) -> Vector:
    return _mean(models.videomae, models.image_processor(pictures, return_tensors="pt"), models.device)


def embed_sound(samples: NDArray[np.float32], models: PapersModels) -> Vector:
    inputs = models.feature_extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    return _mean(models.wav2vec2, inputs, models.device)


def embed_text(text: str, models: PapersModels) -> Vector:
    return np.asarray(models.sentences.encode(text), np.float32)


def _mean(model: Any, inputs: Any, device: str) -> Vector:
    """The mean of the last layer, over the patches of the one clip or over its time."""
    with torch.inference_mode():
        return np.asarray(model(**inputs.to(device)).last_hidden_state[0].mean(0).cpu(), np.float32)


def read_with_tesseract(picture: Picture) -> str:
    return str(pytesseract.image_to_string(Image.fromarray(picture)))


def embed_the_papers_way(
    path: str | Path,
    models: PapersModels,
    *,
    read_text: Callable[[Picture], str] | None = read_with_tesseract,
) -> PaperEmbedding:
    """The embedding of one video file; `read_text` yields the text in a key frame, None: none is read."""
    seconds: dict[str, float] = {}
    start = time.perf_counter()

    def lap(stage: str) -> None:
        seconds[stage] = time.perf_counter() - start - sum(seconds.values())

    frames = decode_frames(path)
    pictures, key_frames = pick(frames, FRAMES), pick(frames, KEY_FRAMES)
    lap("decode")
    samples = load_sound(path)
    lap("load_sound")
    texts = [read_text(picture).strip() for picture in key_frames] if read_text else []
    words = "\n".join(text for text in texts if text)
    lap("read_text")
    of_pictures = embed_pictures(pictures, models)
    lap("videomae")
    of_sound = np.zeros(models.wav2vec2.config.hidden_size, np.float32)
    if samples is not None:
        of_sound = embed_sound(samples, models)
    lap("wav2vec2")
    of_text = np.zeros(models.sentences.get_embedding_dimension() or 0, np.float32)
    if words:
        of_text = embed_text(words, models)
    lap("sentences")
    vector = np.concatenate([of_pictures, of_sound, of_text])
    return PaperEmbedding(vector, of_pictures, of_sound, of_text, samples is not None, words, seconds)


def load_random_models(device: str = "cpu") -> PapersModels:
    """The paper's architectures with random weights: the same work, other numbers."""
    from tests.fixtures.checkpoints import write_checkpoints

    with tempfile.TemporaryDirectory() as folder:
        made = write_checkpoints(Path(folder), full_size=True)
        return load_papers_models(made.pictures, made.sound, made.text, device)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--random", action="store_true", help="random weights instead of a download")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    load = load_random_models if arguments.random else load_papers_models
    models = load(device=arguments.device)
    # once untimed: librosa imports and compiles for seconds at its first use
    embed_the_papers_way(arguments.videos[0], models)
    embedded = [embed_the_papers_way(path, models) for path in arguments.videos]
    stages = embedded[0].seconds
    result = {
        "shape": [len(embedded), len(embedded[0].vector)],
        "seconds": {stage: round(sum(one.seconds[stage] for one in embedded), 3) for stage in stages},
        "device": arguments.device,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
