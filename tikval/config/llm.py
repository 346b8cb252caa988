"""Language models: which, with which parameters, and how they are asked."""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from tikval.config.base import ADDED_LATER, Config, TextFile, holds_secret
from tikval.errors import UserError


class BatchJobs(Config):
    """How requests are handed in as batch jobs: at half the price, and answered within a day or so."""

    rows: PositiveInt = 1000  # in one job, at most
    mb: float = Field(default=200, gt=0, le=1900)  # of one job's file of requests; 2 GB are documented
    deadline_hours: float = Field(default=26, gt=0, le=44)  # then a job is late; uploaded videos live 48
    # what becomes of rows that have no reply by then: they are asked online, at the full price, or by the next run
    late: Literal["online", "stay"] = "online"
    poll_seconds: float = Field(default=60, gt=0)  # between two looks at the jobs


class Api(Config):
    """How a server is asked. Never changes a reply."""

    base_url: str | None = None  # None: the vendor's own; an endpoint must name one
    requests_per_minute: PositiveInt = 150  # over the whole cluster, in any 60 seconds
    tokens_per_minute: PositiveInt = 1_000_000  # of input, likewise
    in_flight: PositiveInt = 32  # calls at once at most, per actor; halved at a 429, then one more each round
    timeout_seconds: float = Field(default=300, gt=0)  # of one call
    tries: PositiveInt = (
        6  # of one row in one run, where a retryable fault is met that is not the whole model's
    )
    # of one delay that the server asks for, and of an outage: longer, and the run stops and says when to come again
    longest_wait_seconds: float = Field(default=300, ge=0)
    outage_minutes: float = Field(default=30, gt=0)  # without an answer; then the run stops
    inline_mb: float = Field(
        default=20, ge=0, le=70
    )  # larger videos go by the Files API; encoded, 70 MB are 94
    # an explicit cache of Gemini's system instruction; auto: where the server's own does not hold it, and it pays
    cache: Literal["auto", "explicit", "off"] = "auto"
    cache_minutes: float = Field(default=60, gt=0)  # that it lives; renewed while calls use it
    served_as: tuple[str, ...] = ()  # other names under which the model that was asked for may answer
    wrong_model: Literal["stop", "set_aside"] = "stop"  # what another model's reply does
    route: Literal["online", "batch"] = "online"  # Gemini only; a reply is paid once, whichever way it came
    batch: BatchJobs = BatchJobs()
    prices: str = "configs/prices.yaml"  # USD per million tokens, by model
    send_minors: bool = False  # videos and scripts of accounts that feature a minor
    # of accounts of which nothing says so or not; None: an outside model is asked nothing until this is settled
    minors_unknown: Literal["send", "withhold"] | None = None
    minors_unmatched: Literal["stop", "go_on"] = "stop"  # minors in the table of accounts who match no video

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, url: str | None) -> str | None:
        # a UserError: pydantic repeats the value of what raises a ValueError
        if url and holds_secret(url):
            raise UserError(
                "api.base_url: must hold no user, password or key, for it stands in messages; the key of a server of "
                "your own comes from TIKVAL_ENDPOINT_KEY"
            )
        return url


class Engine(Config):
    """How vLLM runs on this hardware; the pool says how many engines there are."""

    tensor_parallel: PositiveInt = 1  # GPUs that share one model
    gpu_memory_share: float = Field(default=0.9, gt=0, le=1)  # that vLLM takes
    max_sequences: PositiveInt = 256  # computed at once
    batch_rows: PositiveInt = 64  # rows per call of an engine; a few calls wait for each


MATERIAL: Final = "prompts/material.txt"
HOW_A_MODEL_IS_ASKED: Final = frozenset({"read_pool", "api", "engine", "budget_usd"})


class Gemini(Config):
    """Google's Gemini over its API: takes the video itself. The key comes from GEMINI_API_KEY."""

    kind: Literal["gemini"] = "gemini"  # Google's API
    model: str  # its name there
    # None: the model's own, as Google advises from Gemini 3 on; not sent to models that ignore it (3.6 and later)
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = 0  # null: none is sent
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
    """An open model on vLLM, on GPUs of the cluster. One that sees takes pictures, and speech as text
    or, where it hears too, the sound itself."""

    kind: Literal["vllm"] = "vllm"  # a model in this process
    model: str  # hub name or local directory
    revision: str | None = None  # commit of the hub's
    temperature: float = Field(default=0, ge=0, le=2)  # 0: the likeliest token
    seed: int | None = 0  # of sampling
    max_tokens: PositiveInt = 2048  # of a reply
    context_tokens: PositiveInt | None = None  # prompt and reply; None: what the model was made for
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"  # of the weights
    quantization: str | None = None  # as vLLM names it


class Endpoint(Config):
    """A server that already runs and speaks OpenAI's chat protocol. A key comes from TIKVAL_ENDPOINT_KEY."""

    kind: Literal["endpoint"] = "endpoint"  # an OpenAI-compatible server
    model: str  # the name under which it is served
    temperature: float | None = Field(default=0, ge=0, le=2)  # null: the server's own
    seed: int | None = 0  # null: none is sent
    max_tokens: PositiveInt = 2048  # of a reply


Llm = Annotated[Gemini | Vllm | Endpoint, Field(discriminator="kind")]


class Instructed(Config):
    """Where the fixed prompt of a model stands: before each post in the user's turn, or alone as the system's."""

    usual_material: ClassVar[str] = MATERIAL

    # who says the fixed prompt: the user's turn, or the system's
    instruction: Annotated[Literal["user", "system"], ADDED_LATER] = "user"
    # with `system`: the paragraph after the prompt that says what the blocks of a post are, and that they are data
    material: Annotated[TextFile | None, ADDED_LATER] = None

    @model_validator(mode="before")
    @classmethod
    def _says_what_a_post_is(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("instruction") == "system" and not data.get("material"):
            return {**data, "material": cls.usual_material}
        return data

    @model_validator(mode="after")
    def _has_a_system_turn_for_it(self) -> Self:
        if self.material is not None and self.instruction == "user":
            raise ValueError("material: is read with instruction: system")
        return self


def check_api(api: Api, part: object) -> None:
    """Raises ValueError where a part of a configuration, asked or not, cannot be asked in this way."""
    llm, instruction = getattr(part, "llm", None), getattr(part, "instruction", "user")
    if api.route == "batch" and not isinstance(llm, Gemini):
        raise ValueError("api.route: Gemini alone takes batch jobs; leave it at online here")
    if isinstance(llm, Gemini) and getattr(getattr(part, "look", None), "sound", "text") == "audio":
        raise ValueError("look.sound: this model takes the video itself, sound and all; leave it out")
    holds = isinstance(llm, Gemini) and instruction == "system" and api.route == "online"
    if api.cache == "explicit" and not holds:
        raise ValueError(
            "api.cache: explicit holds the system instruction of a Gemini model that is asked online; set instruction: "
            "system there, or leave it at auto"
        )
