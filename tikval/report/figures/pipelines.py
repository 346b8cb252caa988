"""Videos to values: the steps of every system, read off its configuration (the paper's Figure 3)."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tikval.config import (
    CascadeConfig,
    CombineConfig,
    CriticExtractor,
    EmbedConfig,
    ExtractConfig,
    FinetuneConfig,
    LocalExtractor,
    LocalWriter,
    Look,
    PredictConfig,
    Protocol,
    ScriptConfig,
    Speech,
    TuneConfig,
    VectorHead,
)
from tikval.report.figures.numbers import as_csv
from tikval.report.figures.style import BLACK, GREY, panels_of, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Text = tuple[str, dict[str, Any]]  # a line of a box, and its look
SystemConfig = ExtractConfig | PredictConfig | FinetuneConfig | CombineConfig | TuneConfig | CascadeConfig

GIVEN, MADE, PRETRAINED, JUDGED = range(4)  # columns of the figure
_FILL: Final = ("#EEEEEE", "#FBE9C6", "#D6EFE6", "#D4E6F4")  # by column; the words name the same
_NAMES: Final = 1.7  # inches, of the systems' names
_WIDTH: Final = (0.6, 1.95, 1.95, 1.95)  # inches, by column
_GAP: Final = 0.3  # inches, for an arrow
_MODEL, _HOW = 32, 38  # characters in a line of a box


class PipelineStep(NamedTuple):
    place: int  # one of the columns
    what: str
    model: str = ""
    how: str = ""


def pipeline_steps(config: SystemConfig) -> tuple[PipelineStep, ...]:
    """The steps from what is given to the values. No prompt, no path and no text of the configuration is in it."""
    if isinstance(config, CombineConfig):
        return _combined(config)
    if isinstance(config, ExtractConfig):
        return _prompted(config)
    if isinstance(config, TuneConfig):
        how = "heads learnt from labels; out of fold"
        judged = PipelineStep(JUDGED, "values", brief(config.base.encoder), how)
        return PipelineStep(GIVEN, "videos"), _script(config.scripts), judged
    if isinstance(config, CascadeConfig):
        *steps, last = pipeline_steps(config.strong)
        return *steps, last._replace(how=f"where {config.cheap.system} is in doubt; {last.how}")
    learnt = config.trained if isinstance(config, PredictConfig) else config
    given, of = ("texts", "texts") if learnt.texts else ("videos", "scripts")
    steps = [PipelineStep(GIVEN, given)]
    if made := (config.embeddings if learnt.takes_vectors else config.scripts):
        steps.append(_embeddings(made) if isinstance(made, EmbedConfig) else _script(made))
    if learnt.encoder is not None:
        left_out = learnt.encoder.leave_out == "test"
        how = f"on the {of} of each fold's training" if left_out else f"on all {of}"
        steps.append(
            PipelineStep(PRETRAINED, "continued pretraining", brief(learnt.encoder.model.model), how)
        )
    folds = _folds(learnt.protocol)
    if isinstance(learnt.model, VectorHead):
        model, trained = f"MLP, {'-'.join(map(str, learnt.model.hidden)) or 'no'} hidden", "trained"
    else:
        model, trained = brief(learnt.model.model), "fine-tuned"
    if isinstance(config, PredictConfig):
        some = f"{len(config.members)} models" if config.members else "mean of the models"
        trained = f"{some} of {learnt.system}, {trained} before"
    return *steps, PipelineStep(JUDGED, "values", model, f"{trained}; {folds}")


def _prompted(config: ExtractConfig) -> tuple[PipelineStep, ...]:
    extractor, steps = config.extractor, [PipelineStep(GIVEN, "videos")]
    if config.scripts is not None:
        steps.append(_script(config.scripts))
    if isinstance(extractor, LocalExtractor):
        how = "sentences of the script beside the codebook's"
        return *steps, PipelineStep(JUDGED, "values", brief(extractor.encoder), how)
    if isinstance(extractor, CriticExtractor):
        assert config.predictions is not None
        how = f"drops stances of {config.predictions.system}"
        return *_prompted(config.predictions), PipelineStep(JUDGED, "values", brief(extractor.llm.model), how)
    if config.scripts is None and extractor.llm.kind != "gemini":
        steps.append(_looked(extractor.look))
    shots = extractor.examples_per_value
    some = "all examples" if shots is None else f"{shots} examples a stance" if shots else "no examples"
    how = f"prompted: definitions, {some}"
    return *steps, PipelineStep(JUDGED, "values", brief(extractor.llm.model), how)


def _combined(config: CombineConfig) -> tuple[PipelineStep, ...]:
    first = config.trained_systems[0]
    scores = "mean of scores" if config.how == "mean" else "regression on what they predict"
    fitted = " calibrated," if config.calibrate else ""
    return (
        PipelineStep(GIVEN, "texts" if first.texts else "videos"),
        PipelineStep(MADE, "systems", " + ".join(system.system for system in config.systems)),
        PipelineStep(JUDGED, "values", scores, f"combined;{fitted} {_folds(first.protocol)}"),
    )


def _script(config: ScriptConfig) -> PipelineStep:
    writer = config.writer
    if isinstance(writer, LocalWriter):
        heard = _heard(writer.speech)
        read = "Tesseract" if writer.ocr.frames else ""
        how = " and ".join(
            part for part in ("speech" if heard else "", "on-screen text" if read else "") if part
        )
        return PipelineStep(
            MADE, "script", " + ".join(filter(None, (heard, read))), how or "no speech, no text"
        )
    if writer.llm.kind == "gemini":
        return PipelineStep(MADE, "script", brief(writer.llm.model), "watches the video")
    seen = _looked(writer.look)
    heard = f", speech by {seen.model}" if seen.model else ""
    return PipelineStep(MADE, "script", brief(writer.llm.model), f"{seen.how}{heard}")


def _looked(look: Look) -> PipelineStep:
    if look.sound == "audio":
        return PipelineStep(MADE, "pictures and sound", "", f"{look.frames} pictures")
    heard = _heard(look.speech)
    return PipelineStep(
        MADE, "pictures and speech" if heard else "pictures", heard, f"{look.frames} pictures"
    )


def _heard(speech: Speech) -> str:
    names = {"moonshine": "moonshine", "fast": "moonshine", "none": "", "every_language": "Whisper base"}
    usual = speech.engine != "whisper" and speech.model == type(speech)(engine=speech.engine).model
    return names[speech.engine] if usual else brief(speech.model)


def _embeddings(config: EmbedConfig) -> PipelineStep:
    parts = (("pictures", config.video), ("sound", config.sound), ("on-screen text", config.text))
    used = [(name, brief(part.model)) for name, part in parts if part is not None]
    return PipelineStep(
        MADE, "embeddings", " + ".join(model for _, model in used), ", ".join(name for name, _ in used)
    )


def _folds(protocol: Protocol) -> str:
    if protocol.name == "given":
        return "given split"
    times = f"{protocol.partitions} x " if protocol.partitions > 1 else ""
    return f"{protocol.name} protocol, {times}{protocol.folds} folds"


def brief(model: str) -> str:
    """`owner/name` of a hub; of a folder of somebody's disk or store only its own name."""
    parts = [part for part in model.replace("\\", "/").split("/") if part]
    is_hub = len(parts) == 2 and model == "/".join(parts) and parts[0] not in (".", "..", "~")
    return model if is_hub or not parts else parts[-1]


def pipelines_csv(pipelines: Mapping[str, Sequence[PipelineStep]]) -> bytes:
    return as_csv(
        ("system", "step", "what", "model", "how"),
        (
            (name, n, step.what, step.model, step.how)
            for name, steps in pipelines.items()
            for n, step in enumerate(steps, start=1)
        ),
    )


def pipelines(found: Mapping[str, Sequence[PipelineStep]]) -> "Figure":
    """Draw a row per system, its steps under each other where they are of one kind."""
    left, x = dict[int, float](), _NAMES
    for place in sorted({step.place for steps in found.values() for step in steps}):
        left[place] = x
        x += _WIDTH[place] + _GAP
    right = x - _GAP
    texts = {name: [(step, _lines(step)) for step in steps] for name, steps in found.items()}
    tall = {name: 0.12 * max(len(lines) for _, lines in steps) + 0.2 for name, steps in texts.items()}
    whole = sum(tall.values())
    figure, panels = panels_of(1, right, whole)
    figure.set_size_inches(right, whole)  # inches are the units of the drawing
    panel = panels[0]
    panel.set_axis_off()
    panel.set_xlim(0, right + 0.02)  # room for the outline of the last box
    panel.set_ylim(whole, 0)
    y = 0.0
    for name, steps in texts.items():
        middle = y + tall[name] / 2
        panel.text(
            _NAMES - 0.1, middle, short(name, 26), ha="right", va="center", fontsize=8, fontweight="bold"
        )
        for n, (step, lines) in enumerate(steps):
            _box(panel, left[step.place], middle, step.place, lines)
            if n:
                before = steps[n - 1][0].place
                begin, end = left[before] + _WIDTH[before], left[step.place]
                arrow = {"arrowstyle": "-|>", "color": BLACK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
                panel.annotate("", (end, middle), (begin, middle), arrowprops=arrow)
        y += tall[name]
    return figure


def _lines(step: PipelineStep) -> list[Text]:
    """Text and look of each line of a box."""
    names = " + ".join(
        model.rpartition("/")[2] for model in step.model.split(" + ")
    )  # an owner takes too much room
    model = textwrap.wrap(names, _MODEL, max_lines=3, placeholder=" …", break_on_hyphens=False)
    how = textwrap.wrap(step.how, _HOW, max_lines=2, placeholder=" …")
    lines: list[Text] = [(step.what, {"fontsize": 7.5, "fontweight": "bold"})]
    lines += [(line, {"fontsize": 7}) for line in model]
    lines += [(line, {"fontsize": 6, "color": "#444444"}) for line in how]
    return lines


def _box(panel: "Axes", left: float, middle: float, place: int, lines: Sequence[Text]) -> None:
    from matplotlib.patches import FancyBboxPatch

    height = 0.12 * len(lines) + 0.08
    style = "round,pad=0,rounding_size=0.05"
    corner = (left, middle - height / 2)
    panel.add_patch(
        FancyBboxPatch(
            corner, _WIDTH[place], height, style, facecolor=_FILL[place], edgecolor=GREY, linewidth=0.7
        )
    )
    for n, (line, look) in enumerate(lines):
        at = middle + 0.12 * (n - (len(lines) - 1) / 2)
        panel.text(left + _WIDTH[place] / 2, at, line, ha="center", va="center", **look)
