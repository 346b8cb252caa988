"""Vectors of videos."""

from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from tikval.config.base import Config, JobConfig, Limits, Pool, Upstream
from tikval.config.scripts import CatalogConfig, Ocr


class Pictures(Config):
    """Frames -> one vector, by VideoMAE or another video model of transformers that takes `pixel_values`."""

    model: str = "MCG-NJU/videomae-base"  # hub name or local directory
    revision: str | None = (
        None  # None: what `main` is when the run starts; it stays that until the run is done
    )
    frames: int = Field(default=16, ge=1, le=256)  # evenly spaced over the whole video (Appendix C.2)
    pooling: Literal["mean", "max", "first"] = "mean"  # over the patches
    decoder: Literal["pyav", "decord", "nvdec"] = "pyav"  # they differ in pictures: docs/media.md


class Sound(Config):
    """Sound -> one vector, by Wav2Vec2 or another model of transformers that takes `input_values`; mean over time."""

    model: str = "facebook/wav2vec2-base"  # a folder or a hub name
    revision: str | None = None  # commit of the hub's
    seconds: float = Field(default=10, gt=0, le=120)  # Appendix C.2
    part: Literal["start", "middle", "end"] = "start"  # which ten seconds
    # of shorter sound: none, at its own length; zeros, which reach the model but never the mean
    padding: Literal["none", "zeros"] = "none"


class OnScreenText(Config):
    """Text that Tesseract reads in the pictures -> one vector, by a SentenceTransformer."""

    model: str = "sentence-transformers/all-MiniLM-L6-v2"  # a folder or a hub name
    revision: str | None = None  # commit of the hub's
    ocr: Ocr = Ocr(frames=3)  # first, middle, last (Appendix C.2)


class EmbedConfig(JobConfig):
    """jobs/embed.py: VideoRow -> EmbeddingRow."""

    stage: ClassVar[str] = "embeddings"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {
        "read_pool",
        "encode_pool",
        "threads",
        "compile",
        "in_flight_mb",
        "near_duplicate_cosine",
    }

    videos: Upstream[CatalogConfig]
    video: Pictures | None = Pictures()  # null: this modality has no place in the vector
    sound: Sound | None = Sound()
    text: OnScreenText | None = OnScreenText()
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of pictures' and sound's model
    max_lost_share: float = Field(default=0.5, ge=0, le=1)  # of packets; more: the video fails as damaged
    near_duplicate_cosine: float = Field(default=0.95, gt=0, le=1)  # at least this: two videos show the same
    limits: Limits = Limits()
    read_pool: Pool = Pool()  # decodes and reads text
    encode_pool: Pool = Pool(batch_rows=8)  # hosts the models; batch_rows is the fixed shape of their batches
    threads: PositiveInt | None = (
        None  # of torch, per encoding actor on cores; None: all cores, shared out evenly
    )
    compile: bool = False  # torch.compile: minutes at the start of each actor, for long runs on a GPU
    in_flight_mb: PositiveInt | None = (
        None  # decoded clips that wait for an encoder; None: as Ray Data sees fit
    )

    @model_validator(mode="after")
    def _has_a_modality(self) -> Self:
        if not (self.video or self.sound or self.text):
            raise ValueError("switch on one at least of video, sound and text")
        return self
