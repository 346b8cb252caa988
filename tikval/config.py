"""One frozen configuration per job, closed and typed: a misspelt key is an error, never a default.

A configuration names the *configuration* upstream of it (`scripts: configs/demo/scripts.yaml`), so one file
holds the whole recipe of a result. `fingerprint` hashes that recipe: model, prompt, parameters and the recipe
before it, but not the inputs, pools, deadlines or budgets (`operational`). The output folder's name ends in it.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    Tag,
    ValidationError,
    model_validator,
)


class UserError(Exception):
    """Something the user can mend; shown as one line, without a traceback."""


def find(path: str) -> Path:
    """A prompt or configuration: below the working directory, else as shipped with tikval."""
    package = Path(__file__).parent
    for folder in (Path(), package / "share", package.parent):
        if (folder / path).is_file():
            return folder / path
    raise UserError(f"{path}: no such file (looked in {Path.cwd()} and in tikval itself)")


class Config(BaseModel):
    # defaults are validated, so that a number said by a file and by default is one number in the fingerprint
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Pool(Config):
    """Actors of one stage, and how many rows each call gets. Never changes a result."""

    # how many, or [at least, at most]; None: one per core here, as many as there is room for on a cluster
    actors: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    cpus: float = Field(default=1, ge=0)  # logical, per actor
    gpus: float = Field(default=0, ge=0)  # per actor; fractions share a GPU
    batch_rows: PositiveInt | None = None  # rows per call; None: 1 to 4, so that every actor gets its share


class Limits(Config):
    """What a child process that reads a hostile file may use; past it the file fails and the job goes on.

    The first two defaults follow from benchmarks/limits.py (speech, text in 5 pictures, scene): ten minutes of
    720x1280 took 149 s on a busy machine (81 s of CPU) and 885 MB, 4K of ten seconds 546 MB. If both grow in step
    with the length, the longest video allowed needs 225 s and 1.2 GB; the rest is room for larger pictures.
    """

    seconds: float = Field(default=300, gt=0)  # wall clock per video
    memory_mb: int = Field(default=3072, ge=64)  # resident, of the child and its own children
    video_seconds: float = Field(default=900, gt=0)  # longer videos fail as too_long
    frame_pixels: int = Field(default=4096 * 4096, ge=1)  # larger pictures fail as too_large
    file_mb: int = Field(default=2048, ge=1)


class Api(Config):
    """How a server is asked. Never changes a reply."""

    base_url: str | None = None  # None: the vendor's own; an endpoint must name one
    requests_per_minute: PositiveInt = 150  # over the whole cluster, in any 60 seconds
    tokens_per_minute: PositiveInt = 1_000_000  # of input, likewise
    in_flight: PositiveInt = 32  # calls at once, per actor
    timeout_seconds: float = Field(default=300, gt=0)  # of one call
    tries: PositiveInt = 6  # of one row in one run, where a passing fault is met
    inline_mb: float = Field(
        default=20, ge=0, le=70
    )  # larger videos go by the Files API; encoded, 70 MB are 94
    served_as: tuple[str, ...] = ()  # other names under which the model that was asked for may answer
    wrong_model: Literal["stop", "set_aside"] = "stop"  # what another model's reply does
    prices: str = "configs/prices.yaml"
    send_minors: bool = False  # videos and scripts of accounts that feature a minor


class Engine(Config):
    """How vLLM runs on this hardware; the pool says how many engines there are."""

    tensor_parallel: PositiveInt = 1  # GPUs that share one model
    gpu_memory_share: float = Field(default=0.9, gt=0, le=1)
    max_sequences: PositiveInt = 256  # computed at once
    batch_rows: PositiveInt = 64  # rows per call of an engine; a few calls wait for each


class JobConfig(Config):
    """What every job's configuration has. `stage` and `version` are part of the fingerprint."""

    stage: ClassVar[str]
    version: ClassVar[int] = 1  # raised by hand when the code of a stage changes its results
    operational: ClassVar[frozenset[str]] = frozenset({"out", "pool", "limits", "max_failed_share"})

    out: str  # folder or object-store URI that holds one sub-folder per stage
    max_failed_share: float = Field(default=0.5, ge=0, le=1)  # more failures than this: exit code 1

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the recipe."""
        recipe = {"stage": self.stage, "version": self.version, **_recipe(self)}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        return f"{self.out.rstrip('/')}/{self.stage}-{self.fingerprint}"


_HOW_A_MODEL_IS_ASKED: Final = frozenset({"read_pool", "api", "engine", "budget_usd"})


def _recipe(config: BaseModel) -> dict[str, Any]:
    skip = config.operational if isinstance(config, JobConfig) else frozenset()
    return {
        name: _recipe_of(getattr(config, name), field.metadata)
        for name, field in type(config).model_fields.items()
        if name not in skip
    }


def _recipe_of(value: Any, metadata: list[Any]) -> Any:
    if isinstance(value, JobConfig):
        return value.fingerprint
    if isinstance(value, BaseModel):
        return _recipe(value)
    if isinstance(value, tuple):
        return [_recipe_of(item, metadata) for item in value]
    if CONTENT in metadata and value is not None:
        return hashlib.sha256(find(value).read_bytes()).hexdigest()
    return value


CONTENT = "content"  # marks a path whose file's content, not its name, belongs to the recipe
TextFile = Annotated[str, CONTENT]


def read_yaml(path: str) -> dict[str, Any]:
    file = find(path)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: not UTF-8 text (byte {err.start})") from err
    except yaml.YAMLError as err:
        raise UserError(f"{path}: not YAML: {str(err).replace(chr(10), ' ')}") from err
    if not isinstance(data, dict):
        raise UserError(f"{path}: a configuration is a mapping of keys to values")
    return data


def _inline(value: Any) -> Any:
    return read_yaml(value) if isinstance(value, str) else value


_J = TypeVar("_J", bound=JobConfig)
Upstream = Annotated[_J, BeforeValidator(_inline)]  # a path to the upstream configuration, or its keys


class CatalogConfig(JobConfig):
    """jobs/catalog.py: a folder, glob or manifest -> VideoRow; annotations -> LabelRow; accounts -> AccountRow."""

    stage: ClassVar[str] = "catalog"
    # inputs are not a recipe: one more video, or a reworded codebook, must not recompute the scripts
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {
        "videos",
        "annotations",
        "accounts",
        "codebook",
    }

    videos: str  # folder, glob, CSV or Parquet manifest; local or an object-store URI
    annotations: str | None = None  # the published TikTok CSV, or a plain CSV or Parquet
    accounts: str | None = None  # CSV or Parquet of AccountRow
    codebook: str = "prompts/codebook.yaml"  # whose values the annotations use


class Ocr(Config):
    frames: int = Field(default=5, ge=0)  # evenly spaced, first and last among them; 0: no OCR
    languages: str = Field(default="eng", pattern=r"^[a-zA-Z_]+(\+[a-zA-Z_]+)*$")  # Tesseract's names


class Speech(Config):
    engine: Literal["moonshine", "whisper", "none"] = "moonshine"  # moonshine: bundled, English only
    model: str = "openai/whisper-small"  # of whisper: hub name or local directory
    revision: str | None = None


class Gemini(Config):
    """Google's Gemini over its API: takes the video itself. The key comes from GEMINI_API_KEY."""

    kind: Literal["gemini"] = "gemini"
    model: str
    # None: the model's own, as Google advises from Gemini 3 on; from 3.6 on it is ignored and may be refused one day
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = 0
    max_tokens: PositiveInt = 16_384  # of a reply, thinking included
    thinking_tokens: int | None = Field(
        default=None, ge=-1
    )  # budget; -1: the model decides; None: its default
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None  # of Gemini 3 and later
    media_resolution: Literal["low", "medium", "high"] | None = None  # None: the model's own
    block_none: bool = (
        True  # the adjustable safety filters off: research on what is published needs to see it
    )

    @model_validator(mode="after")
    def _thinks_one_way(self) -> Self:
        if self.thinking_tokens is not None and self.thinking_level is not None:
            raise ValueError("give thinking_tokens or thinking_level, not both")
        return self


class Vllm(Config):
    """An open model on vLLM, on GPUs of the cluster. One that sees takes pictures, and speech as text."""

    kind: Literal["vllm"] = "vllm"
    model: str  # hub name or local directory
    revision: str | None = None
    temperature: float = Field(default=0, ge=0, le=2)
    seed: int | None = 0
    max_tokens: PositiveInt = 2048  # of a reply
    context_tokens: PositiveInt | None = None  # prompt and reply; None: what the model was made for
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    quantization: str | None = None  # as vLLM names it


class Endpoint(Config):
    """A server that already runs and speaks OpenAI's chat protocol. A key comes from TIKVAL_ENDPOINT_KEY."""

    kind: Literal["endpoint"] = "endpoint"
    model: str
    temperature: float | None = Field(default=0, ge=0, le=2)
    seed: int | None = 0
    max_tokens: PositiveInt = 2048


Llm = Annotated[Gemini | Vllm | Endpoint, Field(discriminator="kind")]


class Look(Config):
    """What a model that takes no videos gets of one."""

    frames: int = Field(default=16, ge=1, le=256)  # evenly spaced, first and last among them
    side_px: int = Field(default=448, ge=28, le=2048)  # short side of each picture
    decoder: Literal["pyav", "decord", "nvdec"] = "pyav"
    speech: Speech = Speech(engine="whisper")
    max_lost_share: float = Field(default=0.5, ge=0, le=1)


class LlmWriter(Config):
    """A language model watches the video and writes the script (Appendix A.2)."""

    kind: Literal["llm"] = "llm"
    llm: Llm
    prompt: TextFile = "prompts/script.txt"
    look: Look = Look()
    sample: int | None = None  # another number asks, and pays, for another reply


class LocalWriter(Config):
    """No network, no GPU: Tesseract and a small speech recogniser."""

    kind: Literal["local"] = "local"
    ocr: Ocr = Ocr()
    speech: Speech = Speech()
    max_lost_share: float = Field(default=0.5, ge=0, le=1)  # of packets; more: the video fails as damaged
    decoder: Literal["pyav", "decord", "nvdec"] = "pyav"  # the others differ in pictures: docs/media.md


def _local_unless_said(part: Any) -> Any:
    return {"kind": "local", **part} if isinstance(part, dict) else part


Writer = Annotated[
    Annotated[LocalWriter | LlmWriter, Field(discriminator="kind")], BeforeValidator(_local_unless_said)
]


class ScriptConfig(JobConfig):
    """jobs/write_scripts.py: VideoRow -> ScriptRow."""

    stage: ClassVar[str] = "scripts"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | _HOW_A_MODEL_IS_ASKED

    videos: Upstream[CatalogConfig]
    writer: Writer = LocalWriter()
    limits: Limits = Limits()
    pool: Pool = Pool()  # of the local writer, or of the actors that ask or host the model
    read_pool: Pool = Pool()  # reads videos for a model on vLLM
    api: Api = Api()
    engine: Engine = Engine()
    budget_usd: float | None = Field(default=None, ge=0)  # for this folder, over all its runs


class Pictures(Config):
    """Frames -> one vector, by VideoMAE or another video model of transformers that takes `pixel_values`."""

    model: str = "MCG-NJU/videomae-base"  # hub name or local directory
    revision: str | None = (
        None  # None: what `main` is when the run starts; it stays that until the run is done
    )
    frames: int = Field(default=16, ge=1, le=256)  # evenly spaced over the whole video (Appendix C.2)
    pooling: Literal["mean", "max", "first"] = "mean"  # over the patches
    decoder: Literal["pyav", "decord", "nvdec"] = "pyav"


class Sound(Config):
    """Sound -> one vector, by Wav2Vec2 or another model of transformers that takes `input_values`; mean over time."""

    model: str = "facebook/wav2vec2-base"
    revision: str | None = None
    seconds: float = Field(default=10, gt=0, le=120)  # Appendix C.2
    part: Literal["start", "middle", "end"] = "start"  # which ten seconds
    # of shorter sound: none, at its own length; zeros, which reach the model but never the mean
    padding: Literal["none", "zeros"] = "none"


class OnScreenText(Config):
    """Text that Tesseract reads in the pictures -> one vector, by a SentenceTransformer."""

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str | None = None
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


class LocalExtractor(Config):
    """Sentence embeddings against the codebook; the numbers are those that benchmarks/local_threshold.py chose."""

    kind: Literal["local"] = "local"
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"  # hub name or local directory
    revision: str | None = None
    span: int = Field(default=2, ge=1, le=8)  # sentences that are read together, beside each one alone
    example_weight: float = Field(default=0.7, ge=0, le=1)  # of a label's examples against its description
    temperature: float = Field(default=0.07, gt=0)  # of the softmax over labels, per window of sentences
    prior_windows: float = Field(default=4, ge=0)  # without a value, counted beside those of the script
    threshold: float = Field(default=0.049, ge=0, le=1)  # of a label's mean share over the windows


class LlmExtractor(Config):
    """A language model judges a script, or the video itself, by the codebook (Appendix A.1)."""

    kind: Literal["llm"] = "llm"
    llm: Llm
    prompt: TextFile = "prompts/extract.txt"
    answer: Literal["json", "figure6"] = "json"  # figure6: the paper's format, for Schwartz's 19 values
    enforce_schema: bool = True  # the server lets nothing else through than the codebook's JSON schema
    examples_per_value: int | None = Field(
        default=None, ge=0
    )  # of each stance; 0: definitions only; None: all
    look: Look = Look()  # of a video, where scripts are not given
    sample: int | None = None  # another number asks, and pays, for another reply

    @model_validator(mode="after")
    def _has_a_schema(self) -> Self:
        if self.answer == "figure6" and self.enforce_schema:
            raise ValueError(
                "answer: figure6 is the paper's own, unconstrained format; set enforce_schema: false"
            )
        return self


Extractor = Annotated[
    Annotated[LocalExtractor | LlmExtractor, Field(discriminator="kind")], BeforeValidator(_local_unless_said)
]


class ExtractConfig(JobConfig):
    """jobs/extract_values.py: ScriptRow -> PredictionRow, or VideoRow -> PredictionRow without scripts (direct)."""

    stage: ClassVar[str] = "predictions"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | _HOW_A_MODEL_IS_ASKED

    scripts: Upstream[ScriptConfig] | None = None
    videos: Upstream[CatalogConfig] | None = None  # in place of scripts
    system: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")  # the name it has in every table
    codebook: TextFile = "prompts/codebook.yaml"
    extractor: Extractor = LocalExtractor()
    limits: Limits = Limits()
    pool: Pool = Pool(actors=1, batch_rows=32)
    read_pool: Pool = Pool()
    api: Api = Api()
    engine: Engine = Engine()
    budget_usd: float | None = Field(default=None, ge=0)  # for this folder, over all its runs

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.scripts is None) == (self.videos is None):
            raise ValueError("name one of scripts and videos (direct extraction)")
        if self.videos is not None and self.extractor.kind == "local":
            raise ValueError("extractor: the local one reads scripts and takes no videos")
        return self

    @property
    def catalog(self) -> CatalogConfig:
        upstream = self.scripts.videos if self.scripts else self.videos
        assert upstream is not None
        return upstream

    @property
    def source(self) -> JobConfig:
        return self.scripts or self.catalog

    @property
    def first_step(self) -> ScriptConfig:
        """Of a system of two steps."""
        assert self.scripts is not None
        return self.scripts


class FaithfulnessConfig(JobConfig):
    """jobs/faithfulness.py: generated ScriptRow beside what was heard and read in their videos -> FaithfulnessRow."""

    stage: ClassVar[str] = "faithfulness"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {"rated"}

    scripts: Upstream[ScriptConfig]  # to be judged
    heard: Upstream[ScriptConfig]  # by the local writer: speech recognition and OCR, independent of them
    sample: PositiveInt | None = 1000  # videos compared, drawn at random; None: all
    quote_share: float = Field(
        default=0.5, gt=0, le=1
    )  # of a quoted line's words that somebody must have said
    rated: int = Field(default=18, ge=0)  # videos in the sheets for two people (section 4)
    seed: int = 0


class TextEncoder(Config):
    """A pre-trained encoder of texts with a linear head; all weights train (Appendix C.1)."""

    kind: Literal["text"] = "text"
    model: str = "FacebookAI/roberta-large"  # hub name or local directory: any AutoModel of transformers
    revision: str | None = None
    max_tokens: int = Field(default=512, ge=8, le=16_384)
    # cut: what does not fit is left out and counted; windows: overlapping parts, their scores averaged
    long_texts: Literal["cut", "windows"] = "cut"
    overlap_tokens: int = Field(default=64, ge=0)  # of windows
    pooling: Literal["first", "mean"] = (
        "first"  # the vector of a text: its first token's, or all tokens' mean
    )
    dropout: float = Field(default=0.1, ge=0, lt=1)  # before the head
    gradient_checkpointing: bool = False  # less memory for a third more time
    precision: Literal["float32", "bfloat16"] = "float32"  # of the forward pass; weights stay float32


class VectorHead(Config):
    """An MLP over the vectors of jobs/embed.py (F-VideoMAE)."""

    kind: Literal["vectors"] = "vectors"
    hidden: tuple[PositiveInt, ...] = (512,)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    standardise: bool = True  # each number to mean 0 and deviation 1 over the training rows


class Fit(Config):
    """How one model is trained. Defaults: Appendix C.1, and our choices where it is silent."""

    batch_rows: PositiveInt = 16
    learning_rate: float = Field(default=2e-5, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_share: float = Field(default=0.1, ge=0, lt=1)  # of all steps
    epochs: PositiveInt = 5
    patience: PositiveInt = 2  # epochs without a better one
    best_by: Literal["macro_f1", "weighted_f1", "loss"] = "macro_f1"  # of the rows that choose the epoch
    heads: Literal["multilabel", "per_label"] = "multilabel"  # one model for all labels, or one for each
    # a label's positives weigh as much more as they are rarer, up to this; None: all rows weigh the same
    positive_weight: float | None = Field(default=None, ge=1)
    gradient_norm: float = Field(default=1.0, gt=0)


class Protocol(Config):
    """Which rows train, choose and test.

    paper: shuffled folds; the test fold chooses the epoch; threshold 0.5; scores averaged over the folds.
    honest: folds that no account and no near-duplicate straddles, balanced over the labels; a part of the training
    folds chooses epoch and threshold; several partitions and seeds.
    given: the `split` column of the texts says train, validation or test.
    """

    name: Literal["honest", "paper", "given"] = "honest"
    folds: int = Field(default=3, ge=2)
    partitions: PositiveInt = 3
    seeds: PositiveInt = 1
    validation_share: float = Field(default=0.2, gt=0, lt=1)  # of the training folds
    threshold: float | Literal["global", "per_label"] = "global"  # a number, or chosen on the validation rows

    @model_validator(mode="after")
    def _is_the_papers(self) -> Self:
        if self.name == "paper" and (self.partitions, self.threshold) != (1, 0.5):
            raise ValueError("paper: takes partitions: 1 and threshold: 0.5")
        return self


class Texts(Config):
    """Texts that are not scripts of this study: CSV or Parquet with video_id, text and, where known, account, split."""

    table: str
    annotations: str  # CSV or Parquet with video_id and one column per value


class FinetuneConfig(JobConfig):
    """jobs/finetune.py: ScriptRow, EmbeddingRow or texts, and LabelRow -> PredictionRow of the held-out rows."""

    stage: ClassVar[str] = "finetune"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {"workers", "keep_models"}

    scripts: Upstream[ScriptConfig] | None = None
    embeddings: Upstream[EmbedConfig] | None = None  # in place of scripts; beside them: their near-duplicates
    texts: Texts | None = None  # in place of both
    system: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    codebook: TextFile = "prompts/codebook.yaml"
    # the labels that are trained; None: those in at least min_share of the annotated rows
    labels: tuple[str, ...] | None = None
    min_share: float = Field(default=0.05, ge=0, le=1)
    annotator: str | None = None  # whose labels are the truth; needed where there are several
    model: Annotated[TextEncoder | VectorHead, Field(discriminator="kind")] = TextEncoder()
    fit: Fit = Fit()
    protocol: Protocol = Protocol()
    workers: PositiveInt = 1  # of one training, each with its share of a batch (DDP)
    pool: Pool = Pool()  # of one worker: cpus, gpus; actors: trainings at once
    keep_models: Literal["none", "best"] = "best"  # of every training: its best epoch's weights

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.texts is not None and (self.scripts or self.embeddings):
            raise ValueError("name texts, or scripts and embeddings, not both")
        if self.texts is None and (self.embeddings if self.model.kind == "vectors" else self.scripts) is None:
            raise ValueError("model: text needs scripts or texts, vectors needs embeddings")
        if self.protocol.name == "given" and self.texts is None:
            raise ValueError("protocol: given needs texts with a split column")
        return self

    @property
    def catalog(self) -> CatalogConfig:
        """Raises UserError where texts are trained on, which are no videos of a catalog."""
        source = self.scripts or self.embeddings
        if source is None:
            raise UserError(f"{self.system}: trained on texts of its own, which no catalog lists")
        return source.videos


_ONLY_TRAINED: Final = frozenset({"model", "fit", "protocol", "embeddings", "texts", "labels"})


def _kind_of_system(system: Any) -> str:
    if isinstance(system, dict):
        return "finetune" if _ONLY_TRAINED & system.keys() else "extract"
    return "finetune" if isinstance(system, FinetuneConfig) else "extract"


System = Annotated[
    Annotated[
        Annotated[ExtractConfig, Tag("extract")] | Annotated[FinetuneConfig, Tag("finetune")],
        Discriminator(_kind_of_system),
    ],
    BeforeValidator(_inline),
]


class EvaluateConfig(JobConfig):
    """jobs/evaluate.py: PredictionRow and LabelRow -> ScoreRow."""

    stage: ClassVar[str] = "scores"

    predictions: tuple[System, ...] = Field(min_length=1)  # systems, trained or not
    min_share: float = Field(default=0.05, ge=0, le=1)  # labels in fewer videos are left out of aggregates
    annotator: str | None = None  # whose labels are the truth; needed where there are several

    @property
    def catalog(self) -> CatalogConfig:
        return self.predictions[0].catalog

    @property
    def extracted(self) -> tuple[ExtractConfig, ...]:
        """The systems that were not trained."""
        return tuple(system for system in self.predictions if isinstance(system, ExtractConfig))


class ReportConfig(JobConfig):
    """jobs/report.py: everything before it -> one HTML page."""

    stage: ClassVar[str] = "report"

    scores: Upstream[EvaluateConfig]
    title: str = "Values in short videos"
    show_accounts: bool = False  # account names and handles stay out of the page unless asked for


C = TypeVar("C", bound=Config)
_OF_SEVERAL_KINDS: Final = {"writer", "extractor", "llm"}
_TAGS: Final = {"extract", "finetune"}  # of a system


def _said_keys(loc: Sequence[str | int]) -> list[str]:
    """The keys that somebody wrote; pydantic puts the kind in after one of several kinds."""
    said: list[str] = []
    for place, part in enumerate(loc):
        if part in _TAGS and place and isinstance(loc[place - 1], int):
            continue
        if not (place and loc[place - 1] in _OF_SEVERAL_KINDS and (place < 2 or said[-1] == loc[place - 1])):
            said.append(str(part))
    return said


def load_config(kind: type[C], path: str, overrides: Sequence[str | tuple[str, Any]]) -> C:
    """Read a YAML file, then apply overrides in order: `key.sub=value` texts, or pairs of a key and a value.

    An override may reach through an upstream configuration named by its path (`scripts.videos.videos=clips/`).
    Raises UserError that names the file and the key.
    """
    data = read_yaml(path)
    for override in overrides:
        key, value = _parse(override) if isinstance(override, str) else override
        *parents, leaf = key.split(".")
        node: Any = data
        for parent in parents:
            node = _enter(node, parent, key)
        _put(node, leaf, value, key)
    return validate(kind, data, path)


def _parse(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"{override!r}: an override is key=value or key.sub=value")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as err:
        raise UserError(f"{override!r}: its value is not YAML; quote it") from err


def _enter(node: Any, name: str, key: str) -> Any:
    """The mapping or list at `name`, made if absent; a path to a configuration is read and put in its place."""
    child = node.setdefault(name, {}) if isinstance(node, dict) else node[_index(node, name, key)]
    if isinstance(child, str):
        child = read_yaml(child)
        _put(node, name, child, key)
    if not isinstance(child, dict | list):
        raise UserError(f"{key}: {name} has no keys below it")
    return child


def _put(node: Any, name: str, value: Any, key: str) -> None:
    if isinstance(node, dict):
        node[name] = value
    else:
        node[_index(node, name, key)] = value


def _index(node: list[Any], name: str, key: str) -> int:
    if not name.isdecimal() or int(name) >= len(node):
        raise UserError(f"{key}: {name} is not a place in a list of {len(node)} (the first is 0)")
    return int(name)


def validate(kind: type[C], data: dict[str, Any], where: str) -> C:
    """Check a mapping against a configuration; every wrong key in one UserError."""
    try:
        return kind.model_validate(data)
    except ValidationError as err:
        wrongs, errors = [], err.errors()
        for wrong in errors:
            # a list whose only item is wrong is then called too short: that item's error says it all
            within = [other for other in errors if other["loc"][: len(wrong["loc"])] == wrong["loc"]]
            if wrong["type"] == "too_short" and len(within) > 1:
                continue
            key = ".".join(_said_keys(wrong["loc"]))
            said = "unknown key" if wrong["type"] == "extra_forbidden" else wrong["msg"].lower()
            wrongs.append(f"{key}: {said}")
        raise UserError(f"{where}: {'; '.join(wrongs)}") from err
