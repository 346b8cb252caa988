"""Values from scripts or videos, and how true the scripts are."""

import hashlib
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from tikval.config.base import (
    ADDED_LATER,
    CONTENT,
    Config,
    JobConfig,
    Limits,
    Pool,
    TextFile,
    Upstream,
    find_file,
)
from tikval.config.llm import HOW_A_MODEL_IS_ASKED, Api, Engine, Instructed, Llm, check_api
from tikval.config.scripts import CatalogConfig, LlmWriter, Look, ScriptConfig, local_unless_named
from tikval.errors import UserError

SCHWARTZ: Final = "prompts/codebook.yaml"
EVIDENCE: Final = "prompts/evidence.txt"
APPEALS: Final = "prompts/appeals.yaml"
# SHA-256 of the codebook whose threshold labelled texts chose, and which is the default below
TUNED_FOR: Final = "da02f4aa7ed01beaa4661ba24490cbdf14d677c884b153fc2268be31c781a45a"


class StatedRates(Config):
    """Labels that a text of a study has on average, of each stance: 2.4 and 0.9 in the paper's annotations."""

    endorsed: float = Field(ge=0)  # labels of a video on average
    confronted: float = Field(ge=0)  # likewise


# the numbers of recipe 2, which benchmarks/local_threshold.py chose; those of recipe 1 are the fields' own defaults
_OF_TODAY: Final[dict[str, Any]] = {
    "recipe": 2,
    "temperature": 0.06,
    "prior_windows": 0,
    "gate": 4,
    "appeals": APPEALS,
}
# what a dump of before there were recipes has, all of them
_OF_BEFORE: Final = frozenset({"span", "example_weight", "temperature", "prior_windows", "threshold"})


class LocalExtractor(Config):
    """Sentence embeddings against the codebook. What is not given is as recipe 2 has it."""

    kind: Literal["local"] = "local"  # sentences compared with the codebook's
    # 1: as it was before sentences without a value were kept out; such studies go on with it
    recipe: Annotated[Literal[1, 2], ADDED_LATER] = 1
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"  # hub name or local directory
    revision: str | None = None  # commit of a hub's encoder
    span: int = Field(default=2, ge=1, le=8)  # sentences that are read together, beside each one alone
    example_weight: float = Field(default=0.7, ge=0, le=1)  # of a label's examples against its description
    temperature: float = Field(default=0.07, gt=0)  # of the softmax over labels, per window of sentences
    prior_windows: float = Field(default=4, ge=0)  # without a value, counted beside those of the script
    # how sharply windows are left out that are nearer to neutral sentences than to examples; None: all count the same
    gate: Annotated[float | None, Field(gt=0), ADDED_LATER] = None
    # how people demand what a value asks for, or condemn what offends it: endorsed as well
    appeals: Annotated[TextFile | None, CONTENT, ADDED_LATER] = None
    # of a label's mean share over the windows: a number, or set from the codebook's own examples
    threshold: Annotated[float, Field(ge=0, le=1)] | Literal["codebook"] = 0.049
    # with `codebook`: another codebook, whose neutral sentences join where the given one has few
    neutral: Annotated[TextFile | None, ADDED_LATER] = None
    # what a text is expected to have; each label's threshold then follows from the study's own scripts, and `threshold`
    # decides nothing
    rates: Annotated[StatedRates | None, ADDED_LATER] = None

    @model_validator(mode="before")
    @classmethod
    def _is_of_a_recipe(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        recipe = data.get("recipe", 1 if data.keys() >= _OF_BEFORE else 2)
        return _OF_TODAY | data if recipe == 2 else data

    @model_validator(mode="before")
    @classmethod
    def _has_neutral_sentences(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("threshold") == "codebook" and not data.get("neutral"):
            return {**data, "neutral": SCHWARTZ}
        return data


class LlmExtractor(Instructed):
    """A language model judges a script, or the video itself, by the codebook (Appendix A.1)."""

    kind: Literal["llm"] = "llm"  # a language model judges
    llm: Llm
    prompt: TextFile = "prompts/extract.txt"  # its question
    answer: Literal["json", "figure6"] = "json"  # figure6: the paper's format, for Schwartz's 19 values
    enforce_schema: bool = True  # the server lets nothing else through than the codebook's JSON schema
    examples_per_value: int | None = Field(
        default=None, ge=0
    )  # of each stance; 0: definitions only; None: all
    look: Look = Look()  # of a video, where scripts are not given
    sample: int | None = None  # another number asks, and pays, for another reply
    # replies to each video or script, with the seeds seed, seed + 1, ...: the majority decides each label
    samples: Annotated[PositiveInt, ADDED_LATER] = 1
    # true: the model also quotes what of the post speaks for each stance; or another text that asks for it
    evidence: Annotated[
        TextFile | None,
        BeforeValidator(
            lambda given: {True: EVIDENCE, False: None}[given] if isinstance(given, bool) else given
        ),
        CONTENT,
        ADDED_LATER,
    ] = None

    @model_validator(mode="after")
    def _quotes_in_our_own_format(self) -> Self:
        if self.answer == "figure6" and self.evidence:
            raise ValueError(
                "evidence: figure6 is the paper's format and has no quotes; set answer: json, or leave it"
            )
        return self

    @model_validator(mode="after")
    def _has_a_schema(self) -> Self:
        if self.answer == "figure6" and self.enforce_schema:
            raise ValueError(
                "answer: figure6 is the paper's own, unconstrained format; set enforce_schema: false"
            )
        return self

    @model_validator(mode="after")
    def _samples_are_asked_of_a_server(self) -> Self:
        if self.samples > 1 and self.llm.kind == "vllm":
            raise ValueError(
                "samples: an engine inside the job gives one reply to a row; start the model as a server (kind: "
                "endpoint), or run once for each llm.seed"
            )
        return self


class CriticExtractor(Instructed):
    """A language model reads each stance of another system again, by its definition, and keeps or drops it."""

    usual_material: ClassVar[str] = "prompts/critic_material.txt"

    kind: Literal["critic"] = "critic"  # a language model reads stances again
    llm: Llm
    prompt: TextFile = "prompts/critic.txt"  # its question
    enforce_schema: bool = True  # the server lets nothing else through than the JSON schema of verdicts
    sample: int | None = None  # another number asks, and pays, for another reply


AskingPart = LlmWriter | LlmExtractor | CriticExtractor  # what of a stage asks a language model
Extractor = Annotated[
    Annotated[LocalExtractor | LlmExtractor | CriticExtractor, Field(discriminator="kind")],
    BeforeValidator(local_unless_named),
]


def is_tuned_for(codebook: Any) -> bool:
    """Whether the default threshold is one for a codebook; True where no file is named, or there is none."""
    if not isinstance(codebook, str):
        return True
    try:
        return hashlib.sha256(find_file(codebook).read_bytes()).hexdigest() == TUNED_FOR
    except (UserError, OSError):  # said when it is read
        return True


def suited_to(codebook: Any, local: dict[str, Any]) -> dict[str, Any]:
    """A local extractor's keys; what nobody gave is set from the codebook, where it is another than the default's."""
    return local if is_tuned_for(codebook) else {"threshold": "codebook", "appeals": None} | local


class ExtractConfig(JobConfig):
    """jobs/extract_values.py: ScriptRow -> PredictionRow, or VideoRow -> PredictionRow without scripts (direct).

    A critic: PredictionRow of another system, with the script where there is one -> PredictionRow.
    """

    stage: ClassVar[str] = "predictions"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | HOW_A_MODEL_IS_ASKED

    scripts: Upstream[ScriptConfig] | None = None
    videos: Upstream[CatalogConfig] | None = None  # in place of scripts
    # of a critic: whose stances it reads again
    predictions: Annotated[Upstream["ExtractConfig"] | None, ADDED_LATER] = None
    system: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")  # the name it has in every table
    codebook: TextFile = SCHWARTZ  # the values that are judged, and how they are explained
    extractor: Extractor = LocalExtractor()
    limits: Limits = Limits()
    pool: Pool = Pool(
        batch_rows=32
    )  # actors, of an extractor that asks a model: None is one, which asks for all
    read_pool: Pool = Pool()
    api: Api = Api()
    engine: Engine = Engine()
    budget_usd: float | None = Field(default=None, ge=0)  # for this folder, over all its runs

    @model_validator(mode="after")
    def _has_batch_jobs(self) -> Self:
        check_api(self.api, self.extractor)
        return self

    @model_validator(mode="before")
    @classmethod
    def _has_its_codebooks_threshold(cls, data: Any) -> Any:
        """A threshold that nobody gave is set from the codebook, where it is another than that of the default."""
        part = data.get("extractor", {}) if isinstance(data, dict) else None
        if not isinstance(part, dict) or part.get("kind", "local") != "local":
            return data
        return {**data, "extractor": {"kind": "local", **suited_to(data.get("codebook"), part)}}

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.scripts is None) == (self.videos is None):
            raise ValueError("name one of scripts and videos (direct extraction)")
        if self.videos is not None and self.extractor.kind == "local":
            raise ValueError("extractor: the local one reads scripts and takes no videos")
        return self

    @model_validator(mode="after")
    def _has_stances_to_read_again(self) -> Self:
        first = self.predictions
        if (first is not None) != (self.extractor.kind == "critic"):
            raise ValueError(
                "predictions and extractor.kind: critic go together: whose stances are read again"
            )
        if first is None:
            return self
        if first.extractor.kind == "critic":
            raise ValueError(f"predictions: {first.system} was read again already; name the system before it")
        if first.codebook != self.codebook:
            raise ValueError(
                f"predictions: {first.system} goes by {first.codebook}, and this by {self.codebook}"
            )
        if first.catalog.fingerprint != self.catalog.fingerprint:
            raise ValueError(f"predictions: {first.system} lists its videos in another way: two studies")
        return self

    @property
    def catalog(self) -> CatalogConfig:
        upstream = self.scripts.videos if self.scripts else self.videos
        assert upstream is not None
        return upstream

    @property
    def source(self) -> JobConfig:
        return self.predictions or self.scripts or self.catalog

    @property
    def sends_videos(self) -> bool:
        """Whether a model gets the videos themselves; a critic reads texts."""
        return self.videos is not None and self.predictions is None

    @property
    def judged(self) -> Literal["script", "video"]:
        return "script" if self.scripts else "video"

    @property
    def quotes_from(self) -> Literal["script", "video"] | None:
        """What a language model quotes as its evidence; None: it is not asked for any."""
        return self.judged if self.extractor.kind == "llm" and self.extractor.evidence else None

    @property
    def first_step(self) -> ScriptConfig:
        """The scripts that a system of two steps reads."""
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
    seed: int = 0  # of the sample
