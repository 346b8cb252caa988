"""What differs between a system of ours and the row of the paper beside it: data, prompt, model, training.

Read from the system's own configuration and scores, so that the sentence names what was run and not what a file's
comment hopes. No number of the paper is shown without it (cells.Cell).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tikval.config import (
    AskingPart,
    CascadeConfig,
    CombineConfig,
    CriticExtractor,
    ExtractConfig,
    FinetuneConfig,
    LlmExtractor,
    LlmWriter,
    PredictConfig,
    ScriptConfig,
    TuneConfig,
)
from tikval.evaluate.scores import ALL, LEFT_OUT
from tikval.report.tables.published import Published
from tikval.rows import ScoreRow
from tikval.store.runs import SystemConfig

# whoever has the authors' own points a configuration at another file
_OURS: Final = frozenset({"prompts/extract.txt", "prompts/script.txt"})
_CODEBOOK: Final = "prompts/codebook.yaml"
_OWN_WORDS: Final = "in this project's words, as the authors' full codebook is not published"


@dataclass(frozen=True, slots=True)
class Counterpart:
    """The row of the paper for a system, and what differs. Raises ValueError where one of the differences is empty."""

    row: str  # name of the paper's system
    title: str
    data: str
    prompt: str
    model: str
    training: str

    def __post_init__(self) -> None:
        if not (self.data and self.prompt and self.model and self.training):
            raise ValueError(f"{self.row}: name what differs in data, prompt, model and training")

    @property
    def text(self) -> str:
        parts = (
            ("Data", self.data),
            ("Prompt", self.prompt),
            ("Model", self.model),
            ("Training", self.training),
        )
        return " ".join(f"{name}: {difference}." for name, difference in parts)


def counterpart_of(
    config: SystemConfig, scores: Sequence[ScoreRow], row: str, paper: Published
) -> Counterpart:
    """The `row` of the paper, a name in `paper.systems`, for a system with these scores of its own."""
    about = paper.systems[row]
    theirs = about.model + (f"; of that row: {about.remark}" if about.remark else "")
    return Counterpart(
        row,
        about.title,
        data=_data(config, scores, paper),
        prompt=_prompt(config),
        model=f"{_model(config)}; the paper: {theirs}",
        training=_training(config),
    )


def _data(config: SystemConfig, scores: Sequence[ScoreRow], paper: Published) -> str:
    (first,) = (
        row for row in scores if (row["failures"], row["stance"], row["label"]) == (LEFT_OUT, ALL, "macro")
    )
    n_videos, n_scored = first["n_videos"], first["n_scored"]
    text = f"{n_scored} of {n_videos} annotated videos have a result"
    text += f"; the paper scored {paper.videos}, and its published annotations list {paper.published_rows}"
    if n_videos not in (paper.videos, paper.published_rows):
        text += ", so these are others, or a part of them"
    ours = {row["label"] for row in scores if row["failures"] == LEFT_OUT and row["frequent"]}
    more, fewer = sorted(ours - set(paper.averaged)), [name for name in paper.averaged if name not in ours]
    text += f"; means run over {len(ours)} labels, the paper's over {len(paper.averaged)}"
    text += f", which lack {_some(more)}" if more else ""
    text += (
        f", {'and ' if more else ''}of which {_some(fewer)} {'is' if len(fewer) == 1 else 'are'} not among ours"
        * bool(fewer)
    )
    return text if more or fewer else text + ", the same"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _prompt(config: SystemConfig) -> str:
    if isinstance(config, CombineConfig):
        return "; ".join(f"{one.system}: {_prompt(one)}" for one in config.systems)
    parts = []
    if config.scripts is not None:
        parts.append(f"scripts {_of_scripts(config.scripts)}")
    if isinstance(config, ExtractConfig):
        parts.append(f"values {_of_values(config)}")
    return "; ".join(parts) or "none, neither here nor in the paper"


def _of_scripts(config: ScriptConfig) -> str:
    if not isinstance(config.writer, LlmWriter):
        return "without a prompt, the paper's with one (Figure 7)"
    return f"by {_placed(config.writer)}{_whose(config.writer.prompt, 'Figure 7')}"


def _of_values(config: ExtractConfig) -> str:
    part = config.extractor
    if isinstance(part, CriticExtractor):
        assert config.predictions is not None
        return f"{_of_values(config.predictions)}; then read again by {_placed(part)}, the paper's were not"
    if not isinstance(part, LlmExtractor):
        return (
            f"without a prompt, by the sentences of {config.codebook}; the paper's with one (Figures 5 and 6)"
        )
    book = config.codebook + ", a codebook of your own" * (config.codebook != _CODEBOOK)
    text = f"by {_placed(part)} over {book}{_whose(part.prompt, 'Figures 5 and 6')}"
    if part.answer == "json":
        text += ", answered as JSON" + " that a schema enforces" * part.enforce_schema
        text += ", the paper's in the format of Figure 6"
    if part.examples_per_value is not None:
        text += f", with {part.examples_per_value} examples per value and stance"
    return text


def _placed(part: AskingPart) -> str:
    return part.prompt + " as the system instruction" * (part.instruction == "system")


def _whose(prompt: str, figure: str) -> str:
    if prompt in _OURS:
        return f", after {figure} {_OWN_WORDS}"
    return f", a file of your own: it is {figure} only if you took the authors' prompt"


def _model(config: SystemConfig) -> str:
    if isinstance(config, CombineConfig):
        return f"{config.how} of " + "; ".join(f"{one.system}: {_model(one)}" for one in config.systems)
    if isinstance(config, PredictConfig):
        return f"kept models of {config.trained.system} ({_model(config.trained)})"
    if isinstance(config, FinetuneConfig):
        if config.embeddings is not None and config.takes_vectors:
            parts = (config.embeddings.video, config.embeddings.sound, config.embeddings.text)
            return f"an MLP over vectors of {', '.join(part.model for part in parts if part)}"
        name = getattr(config.model, "model", "")
        further = ", pre-trained further," if config.encoder else ""
        return f"{name}{further} on {_source(config.scripts)}"
    if isinstance(config, TuneConfig):
        learnt = "annotations" if config.teacher is None else f"answers of {config.teacher.system}"
        return f"heads on vectors of {config.base.encoder}, learnt from {learnt}, out of {_source(config.scripts)}"
    if isinstance(config, CascadeConfig):
        return f"{_model(config.cheap)}; in doubt: {_model(config.strong)}"
    part = config.extractor
    if isinstance(part, CriticExtractor):
        assert config.predictions is not None
        return f"{_model(config.predictions)}; each stance read again by {part.llm.model}"
    if not isinstance(part, LlmExtractor):
        return f"values by {part.encoder} without a language model, out of {_source(config.scripts)}"
    votes = f", {part.samples} replies and a vote" if part.samples > 1 else ""
    if config.videos is None:
        return f"values by {part.llm.model} out of {_source(config.scripts)}{votes}"
    # what takes no video file gets pictures, and what was said as text or its sound
    heard = "sound" if part.look.sound == "audio" else "recognised speech"
    how = "" if part.llm.kind == "gemini" else f" ({part.look.frames} pictures and {heard} of it)"
    return f"{part.llm.model}, directly from the video{how}{votes}"


def _source(scripts: ScriptConfig | None) -> str:
    if scripts is None:
        return "texts"
    writer = scripts.writer
    if isinstance(writer, LlmWriter):
        return f"scripts by {writer.llm.model}"
    return f"scripts by speech recognition ({writer.speech.engine}) and OCR, which see no picture"


def _training(config: SystemConfig) -> str:
    if isinstance(config, ExtractConfig):
        return "none, neither here nor in the paper's language models"
    if isinstance(config, PredictConfig):
        return "on other videos, all of these are new to it; the paper: 3-fold cross-validation on its own"
    if isinstance(config, TuneConfig):
        return f"{config.heads.folds} folds, no account in two of them"
    if isinstance(config, CascadeConfig):
        return "none; limits set on a random sample that both systems answered"
    first = config.trained_systems[0] if isinstance(config, CombineConfig) else config
    protocol = first.protocol
    if protocol.name == "paper":
        return (
            f"{protocol.folds} shuffled folds, the best epoch chosen on the test fold, folds averaged: as in the paper,"
            " where it says so; docs/paper.md lists what it leaves open"
        )
    kind = "no account in two of them" if protocol.name == "honest" else "as the data give them"
    return (
        f"{protocol.name} folds ({kind}), epoch and threshold chosen without the test rows; the paper's folds are not"
        " said to keep accounts together, and its best epoch is chosen on the test fold"
    )
