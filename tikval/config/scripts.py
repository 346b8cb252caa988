"""Catalog and scripts."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tikval.config.base import ADDED_LATER, Config, JobConfig, Limits, Place, Pool, TextFile, Upstream
from tikval.config.llm import HOW_A_MODEL_IS_ASKED, Api, Engine, Instructed, Llm, check_api


class CatalogConfig(JobConfig):
    """jobs/catalog.py: a folder, glob or manifest -> VideoRow; annotations -> LabelRow; accounts -> AccountRow."""

    stage: ClassVar[str] = "catalog"
    # inputs are not a recipe: one more video, or a reworded codebook, must not recompute the scripts
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {
        "videos",
        "annotations",
        "annotations_unmatched",
        "accounts",
        "codebook",
        "without",
        "annotated_by",
        "media",
        "columns",
        "photo_posts",
    }

    videos: Place  # folder, glob, a table that lists them, or an export of their posts; local or an object-store URI
    # of an export: the folder with the files of its posts; None: the export's own
    media: Annotated[Place | None, ADDED_LATER] = None
    columns: Annotated[Place | None, ADDED_LATER] = (
        None  # a map of an export's columns, as in configs/sources
    )
    # pictures of a post and its sound are a video of the study; not of one that began before they were
    photo_posts: Annotated[bool, ADDED_LATER] = True
    annotations: Place | None = (
        None  # the published TikTok CSV, or a table as docs/tables.md has it; None: as before
    )
    # what happens where no annotated video is listed: a misspelt id is likelier than annotations without videos
    annotations_unmatched: Annotated[Literal["stop", "go_on"], ADDED_LATER] = "stop"
    accounts: Place | None = None  # a table of AccountRow; None: those given before
    # what was given before and is taken away: annotations are those over this codebook
    without: Annotated[tuple[Literal["annotations", "accounts"], ...], ADDED_LATER] = ()
    codebook: str = "prompts/codebook.yaml"  # whose values the annotations use
    # of files whose name or address has no post's id: their path, or a pseudonym that only who has TIKVAL_KEY can make
    ids: Annotated[Literal["paths", "pseudonyms"], ADDED_LATER] = "paths"
    # how the annotated videos were chosen: videos drawn at random, whole accounts drawn at random, or with the
    # probabilities that the annotations carry. Unknown: no rate is corrected by them
    annotated_by: Annotated[Literal["random", "accounts", "weights", "unknown"], ADDED_LATER] = "unknown"


class Ocr(Config):
    frames: int = Field(default=5, ge=0)  # evenly spaced, first and last among them; 0: no OCR
    # changes: instead, cut-outs where text comes up, of the area of so many frames at most
    when: Annotated[Literal["even", "changes"], ADDED_LATER] = "even"
    # Tesseract's names; with `changes` also "installed": English, and what else there is for what that does not cover
    languages: str = Field(default="eng", pattern=r"^[a-zA-Z_]+(\+[a-zA-Z_]+)*$")

    @model_validator(mode="after")
    def _reads_what_is_not_covered(self) -> Self:
        if self.languages == "installed" and self.when != "changes":
            raise ValueError("languages: installed needs when: changes")
        return self


class Speech(Config):
    """Who listens. A recogniser's name alone stands for the recogniser with its usual model: `speech: fast`."""

    # every_language: Whisper through faster-whisper; fast: a small English model, on what is surely English;
    # moonshine: the same without asking for the language; whisper: Whisper through transformers
    engine: Literal["every_language", "fast", "moonshine", "whisper", "none"] = "moonshine"
    # every_language: base (comes in wheels), a folder or a hub name for CTranslate2; whisper: hub name or folder
    model: str = "openai/whisper-small"
    revision: str | None = None  # commit of the hub's

    @model_validator(mode="before")
    @classmethod
    def _with_its_usual_model(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"engine": given}
        if isinstance(given, dict) and given.get("engine") in ("every_language", "fast"):
            return {"model": "base", **given}
        return given


class Look(Config):
    """What a model that takes no videos gets of one."""

    frames: int = Field(default=16, ge=1, le=256)  # evenly spaced, first and last among them
    side_px: int = Field(default=448, ge=28, le=2048)  # short side of each picture
    decoder: Literal["pyav", "decord", "nvdec"] = "pyav"  # they differ in pictures: docs/media.md
    speech: Speech = Speech(engine="whisper")
    max_lost_share: float = Field(default=0.5, ge=0, le=1)  # of packets; more: the video fails as damaged
    # text: what a recogniser heard; audio: the sound itself, for a model that hears
    sound: Annotated[Literal["text", "audio"], ADDED_LATER] = "text"
    sound_seconds: Annotated[int, Field(ge=1, le=1800), ADDED_LATER] = 300  # with audio: given at most

    @model_validator(mode="before")
    @classmethod
    def _listens_once(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("sound") == "audio":
            return {"speech": "none", **given}
        return given

    @model_validator(mode="after")
    def _gives_one_kind_of_sound(self) -> Self:
        if self.sound == "audio" and self.speech.engine != "none":
            raise ValueError("look.speech: with sound: audio the model hears for itself; leave speech out")
        if self.sound == "text" and self.sound_seconds != type(self).model_fields["sound_seconds"].default:
            raise ValueError("look.sound_seconds: is read with sound: audio")
        return self


class LlmWriter(Instructed):
    """A language model watches the video and writes the script (Appendix A.2)."""

    kind: Literal["llm"] = "llm"  # a language model writes
    llm: Llm
    prompt: TextFile = "prompts/script.txt"  # its question
    look: Look = Look()
    sample: int | None = None  # another number asks, and pays, for another reply


class LocalWriter(Config):
    """No network, no GPU: Tesseract and a speech recogniser."""

    kind: Literal["local"] = "local"  # recognisers on this machine
    ocr: Ocr = Ocr()
    speech: Speech = Speech()
    max_lost_share: float = Field(default=0.5, ge=0, le=1)  # of packets; more: the video fails as damaged
    decoder: Literal["pyav", "decord", "nvdec"] = "pyav"  # the others differ in pictures: docs/media.md

    @model_validator(mode="after")
    def _sees_what_changes(self) -> Self:
        if self.decoder == "decord" and self.ocr.when == "changes":
            raise ValueError("decord decodes no pictures between those asked for: set ocr.when to even")
        return self


def local_unless_named(part: Any) -> Any:
    return {"kind": "local", **part} if isinstance(part, dict) else part


Writer = Annotated[
    Annotated[LocalWriter | LlmWriter, Field(discriminator="kind")], BeforeValidator(local_unless_named)
]


class ScriptConfig(JobConfig):
    """jobs/write_scripts.py: VideoRow -> ScriptRow."""

    stage: ClassVar[str] = "scripts"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | HOW_A_MODEL_IS_ASKED

    videos: Upstream[CatalogConfig]
    writer: Writer = LocalWriter()
    limits: Limits = Limits()
    pool: Pool = Pool()  # of the local writer, or of the actors that ask or host the model
    read_pool: Pool = Pool()  # reads videos for a model on vLLM
    api: Api = Api()
    engine: Engine = Engine()
    budget_usd: float | None = Field(default=None, ge=0)  # for this folder, over all its runs

    @model_validator(mode="after")
    def _is_asked_as_its_model_can_be(self) -> Self:
        check_api(self.api, self.writer)
        return self
