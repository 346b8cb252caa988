"""What language models were asked of each shown video, and what they replied, from the ledger of paid calls."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Final

from tikval.ask.prompts import fixed_prompt_of
from tikval.ask.video import takes_videos
from tikval.config import (
    AskingPart,
    CriticExtractor,
    ExtractConfig,
    LlmWriter,
    ReportConfig,
    ScriptConfig,
    UserError,
)
from tikval.llm.ledger import Ledger
from tikval.prompt_text import render_material
from tikval.report.site.evidence import shown_text
from tikval.report.site.facts import scripts_of
from tikval.report.site.record import Card, Report, ShownCall
from tikval.report.site.study_rows import StudyRows
from tikval.rows import sha256
from tikval.store.progress import StageProgress

_AT_ONCE: Final = 32  # objects of the ledger, which a store takes a tenth of a second for
_QUIET: Final = 2_000  # calls that are read in a second or two: no progress is shown
_VIDEO: Final = "the video's file, with its pictures and its sound"
_PICTURES: Final = "pictures of the video, and what a recogniser heard in it"
_HEARD: Final = "pictures of the video, and its sound"
_Asking = ScriptConfig | ExtractConfig


def calls_of(config: ReportConfig, rows: StudyRows) -> dict[str, list[ShownCall]]:
    """The calls that were made for each video that gets a page, by row key, in the order of the stages."""
    found: dict[str, list[ShownCall]] = {}
    made = [
        (
            row["row_key"],
            key,
            ShownCall(name, number, row["model"], row["attempt"], row["prompt_sha"] or "", _seen(stage)),
        )
        for name, stage in _stages(config)
        for row in rows.stages[name].shown
        for number, key in enumerate((row["ledger_key"] or "").split(" "))
        if key
    ]
    ledger = Ledger(config.out)
    progress = (
        StageProgress("calls", len(made), 0, config.folder) if len(made) > _QUIET else nullcontext(None)
    )
    with progress as shown, ThreadPoolExecutor(_AT_ONCE) as pool:
        for (video, _, call), entry in zip(made, pool.map(lambda one: ledger.get(one[1]), made), strict=True):
            found.setdefault(video, []).append(replace(call, entry=entry))
            if shown:
                shown.advance(1, {})
    return found


def prompts_of(config: ReportConfig) -> dict[str, str]:
    """The part of each stage's prompt that is the same for every post, by its SHA-256, as its files have it now."""
    found = {}
    for _, stage in _stages(config):
        try:
            prompt = fixed_prompt_of(stage)
        except UserError:  # a file of it is gone: its calls say that the prompt was not kept
            continue
        found[sha256(prompt)] = prompt
    return found


def _stages(config: ReportConfig) -> Iterator[tuple[str, _Asking]]:
    """The stages that asked a language model, by name."""
    for name, recipe in scripts_of(config).items():
        if isinstance(recipe.writer, LlmWriter):
            yield name, recipe
    for system in config.scores.predictions:
        if isinstance(system, ExtractConfig) and isinstance(system.extractor, AskingPart):
            yield f"values: {system.system}", system


def _seen(stage: _Asking) -> str | None:
    """What of a video a stage sends, in words; None: its script as text."""
    part = stage.writer if isinstance(stage, ScriptConfig) else stage.extractor
    assert isinstance(part, AskingPart)
    if isinstance(part, CriticExtractor) or (isinstance(stage, ExtractConfig) and not stage.sends_videos):
        return None
    if takes_videos(part.llm):
        return _VIDEO
    return _HEARD if part.look.sound == "audio" else _PICTURES


def prompt_file(sha: str) -> str:
    """The page of a prompt, in the site's folder."""
    return f"calls/prompt-{sha[:16]}.html"


def call_page(card: Card, report: Report) -> list[dict[str, Any]]:
    """What the page of a video's calls shows of each; no handles unless the report shows accounts."""
    samples = [call.stage for call in card.calls]
    return [
        _shown(call, card, report, samples.count(call.stage), number)
        for number, call in enumerate(card.calls, 1)
    ]


def _shown(call: ShownCall, card: Card, report: Report, samples: int, number: int) -> dict[str, Any]:
    entry = call.entry
    usage = entry.reply.usage if entry and entry.reply.usage.known else None
    facts = [
        ("Model asked for", call.model),
        ("Model that answered", (entry and entry.reply.model_served) or "not told"),
        ("When", entry.at.replace("T", " ")[:16] + " UTC" if entry else "not known"),
        (
            "Tokens in",
            f"{usage.tokens_in:,}, {usage.tokens_cached:,} of them cached" if usage else "not told",
        ),
        ("Tokens out", f"{usage.tokens_out:,}" if usage else "not told"),
        ("Price", "none known" if entry is None or entry.cost_usd is None else f"{entry.cost_usd:.6f} USD"),
        ("Attempt", str(call.attempt)),
    ]
    return {
        "anchor": f"call-{number}",
        "title": call.stage + (f", sample {call.sample + 1} of {samples}" if samples > 1 else ""),
        "facts": facts,
        "prompt": prompt_file(call.prompt) if call.prompt in report.prompts else None,
        "seen": call.seen,
        "sent": _material(call, card, report),
        "reply": shown_text(entry.reply.text, card, report) if entry else None,
        "error": entry.reply.reason.value if entry and entry.reply.reason else None,
        "detail": shown_text(entry.reply.detail, card, report) if entry else None,
    }


def _material(call: ShownCall, card: Card, report: Report) -> str:
    """The post's part of the prompt as far as it is text."""
    system = call.stage.removeprefix("values: ")
    script = None if call.seen else card.scripts_of.get(system, card.script) or ""
    return render_material(shown_text(script, card, report), shown_text(card.caption, card, report)).strip()
