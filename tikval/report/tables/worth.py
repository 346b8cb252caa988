"""What each system of a study scores and takes, and the one to use: `tikval compare`.

Money is what the accounts of its folders say was paid, speed what their last runs took; both over all stages of a
system, per video that it judged. Nothing of another study is assumed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from tikval.config import (
    CatalogConfig,
    ExtractConfig,
    JobConfig,
    LocalWriter,
    ScriptConfig,
    UserError,
    nested,
)
from tikval.evaluate.baselines import BASELINES, HUMAN
from tikval.evaluate.recommendation import Recommendation, SystemWorth, recommend
from tikval.evaluate.scores import ALL, LEFT_OUT
from tikval.llm.gate import read_spent
from tikval.report.display import two
from tikval.report.how_sure import HowSure, ends_of
from tikval.rows import ComparisonRow, ScoreRow
from tikval.store.folder import Folder
from tikval.store.runs import CurrentRun, Study, SystemConfig, run_here, system_config

_THOUSAND: Final = 1_000  # videos
HERE: Final = "nowhere"
OWN_SERVER: Final = "to your own GPUs"


def worths_of(study: Study, scores: Sequence[ScoreRow]) -> list[SystemWorth]:
    """Each current system over the picked codebook, by name. `scores`: of its last evaluation, or none."""
    of = {row["system"]: row for row in scores if _is_the_mean(row)}
    return [_worth(study, one, of.get(one.system)) for one in study.current(study.label_set)]


def _is_the_mean(row: ScoreRow) -> bool:
    return (row["failures"], row["stance"], row["label"]) == (LEFT_OUT, ALL, "macro")


def _worth(study: Study, one: CurrentRun, score: ScoreRow | None) -> SystemWorth:
    ends = ends_of(score) if score else None
    try:
        config = system_config(run_here(one.run, study.out))
    except UserError:  # a prompt or a codebook has changed since: what it was is not known any more
        stages: list[JobConfig] = []
    else:
        stages = list(_stages(config))
    return SystemWorth(
        one.system,
        score["f1"] if score else None,
        ends.lower if ends else None,
        ends.upper if ends else None,
        _usd(stages, one.run.rows),
        _hours(stages, one.run.rows),
        "not known" if not stages else _languages(stages),
        "not known" if not stages else _data_go(stages),
    )


def _stages(config: SystemConfig) -> Iterator[JobConfig]:
    """What runs for each video, each folder once; the catalog is the same for all."""
    seen = set()
    for _, each in nested(config):
        if not isinstance(each, CatalogConfig) and each.folder not in seen:
            seen.add(each.folder)
            yield each


def _usd(stages: Sequence[JobConfig], videos: int) -> float | None:
    """USD paid for 1,000 videos; 0 where nobody is paid; None where a server's price is not known."""
    paid = 0.0
    if not stages or not videos:
        return None
    for stage in stages:
        llm = _llm(stage)
        if llm == "endpoint":
            return None
        if llm == "gemini":
            spent = read_spent(stage.folder)
            paid += spent.settled_usd if spent else 0.0
    return paid / videos * _THOUSAND


def _hours(stages: Sequence[JobConfig], videos: int) -> float | None:
    """Hours for 1,000 videos, as the last run of each stage took; None where one of them does not tell."""
    seconds = 0.0
    if not stages or not videos:
        return None
    for stage in stages:
        run = Folder(stage.folder).run()
        if run is None or not run.computed:
            return None
        seconds += (
            run.seconds / run.computed * min(run.rows / videos, 1.0)
        )  # a cascade asks some of the videos
    return seconds / 3600 * _THOUSAND


def _llm(stage: JobConfig) -> str | None:
    """The kind of language model that a stage asks."""
    part = getattr(stage, "writer", None) or getattr(stage, "extractor", None)
    llm = getattr(part, "llm", None)
    return None if llm is None else str(llm.kind)


def _sends_videos(stage: JobConfig) -> bool:
    return isinstance(stage, ExtractConfig) and stage.sends_videos


def _data_go(stages: Iterable[JobConfig]) -> str:
    """Who gets the videos or their scripts, in words."""
    places = []
    for stage in stages:
        assert isinstance(stage, JobConfig)
        what = "videos" if isinstance(stage, ScriptConfig) or _sends_videos(stage) else "scripts"
        match _llm(stage):
            case "gemini":
                places.append(f"{what} to Google")
            case "endpoint":
                url = stage.api.base_url if isinstance(stage, ScriptConfig | ExtractConfig) else None
                places.append(f"{what} to {urlsplit(url or '').hostname or 'the endpoint'}")
            case "vllm":
                places.append(f"{what} {OWN_SERVER}")
    return ", ".join(dict.fromkeys(places)) or HERE


def _languages(stages: Iterable[JobConfig]) -> str:
    """Which speech a system understands, in words."""
    words = "those of its model"
    for stage in stages:
        if isinstance(stage, ScriptConfig):
            writer = stage.writer
            if not isinstance(writer, LocalWriter):
                return words
            several = writer.speech.engine in ("every_language", "whisper")
            words = "Whisper's, judged in English" if several else "English"
    return words


def show_recommendation(
    worths: Sequence[SystemWorth], rows: Sequence[ComparisonRow], scores: Sequence[ScoreRow], console: Console
) -> None:
    """Print what each system is worth and takes, and the one to use."""
    sure = HowSure(ends_of(row) for row in scores if _is_the_mean(row) and row["system"] not in BASELINES)
    of = {row["system"]: row for row in scores if _is_the_mean(row)}
    table = Table(
        "system", "macro F1 [95 %]", "USD per 1,000", "hours per 1,000, as it ran", "languages", "data go"
    )
    for worth in worths:
        spread = sure.spread(ends_of(of[worth.system])) if worth.system in of else ""
        table.add_row(
            worth.system,
            "not scored" if worth.macro_f1 is None else f"{two(worth.macro_f1)} {spread}".strip(),
            "not known" if worth.usd is None else f"{worth.usd:.2f}",
            "not known" if worth.hours is None else f"{worth.hours:.2g}",
            worth.languages,
            worth.data_go,
        )
    console.print(table)
    told = set(HowSure(map(ends_of, rows)).lines)  # below the comparisons
    for line in [line for line in sure.lines if line not in told]:
        console.print(f"* {line}")
    for sentence in recommendation_lines(recommend(worths, rows, _baselines(rows))):
        console.print(sentence)


def recommendation_lines(found: Recommendation) -> list[str]:
    """The recommendation in sentences, the system first."""
    first = f"recommended for these videos: {found.system}" if found.system else "nothing is recommended"
    return [first, *(f"* {why}" for why in found.why)]


def _baselines(rows: Sequence[ComparisonRow]) -> list[str]:
    named = {name for row in rows for name in (row["system_a"], row["system_b"])}
    return [name for name in BASELINES if name in named and name != HUMAN]
