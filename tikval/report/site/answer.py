"""The answer that stands first: which rates a report leads with, and one sentence about them. No HTML here.

Rates are annotated where people labelled every video that was judged, else corrected for model error where the study
can, else raw: as the first system predicts them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tikval.evaluate.corpus import ANNOTATIONS
from tikval.report.site.rates import percent
from tikval.report.site.record import Report, SystemRates
from tikval.report.site.video_links import VideoLink, VideoLinks
from tikval.stats.limits import NO_VARIANCE, few_accounts
from tikval.stats.prevalence import RateLine
from tikval.values import CONFRONTED, ENDORSED, VALUES

ANNOTATED, CORRECTED, RAW = "annotated", "corrected", "raw"  # ways of measuring
MOST_TIED: Final = 3  # values that a sentence names; more are counted
_TIE: Final = 1e-9
_ORDINARY: Final = {value.title for value in VALUES}  # titles that may begin with a small letter


@dataclass(frozen=True, slots=True)
class LedRate:
    """How often one label is given, as the first page shows it."""

    label: str
    share: float
    low: float | None
    high: float | None
    why_none: str | None

    @property
    def interval(self) -> str:
        """`[21, 28]`, with as many decimals as the share; nothing where there is none."""
        if self.low is None or self.high is None:
            return ""
        digits = 0 if abs(self.share) >= 0.1 else 1
        low, high = (f"{100 * end:z.{digits}f}" for end in (self.low, self.high))
        return f"[{low}, {high}]".replace("-", "\u2212")

    @property
    def text(self) -> str:
        """Share and interval, which no line break parts."""
        return f"{percent(self.share)} {self.interval}".strip().replace(" ", "\u00a0")


@dataclass(frozen=True, slots=True)
class LedRates:
    """The rates that a report leads with, by label; a label without a rate is not there."""

    system: str  # its name, or that of the annotations
    way: str
    videos: int  # with a result
    annotated: int  # of them
    accounts: int
    of: dict[str, LedRate]
    teacher: str | None = None  # whose answers correct them, in the place of people's labels

    @property
    def basis(self) -> str:
        """Where the rates come from, in a sentence."""
        by = f"{self.annotated:,} annotated videos"
        if self.teacher:
            by = f"{self.teacher}'s answers to {self.annotated:,} videos drawn at random, right or wrong"
        return {
            ANNOTATED: "As people annotated every video that was judged.",
            CORRECTED: f"As {self.system} predicts it, corrected by {by}.",
            RAW: f"As {self.system} predicts it: not corrected for model error.",
        }[self.way]

    @property
    def how_sure(self) -> list[str]:
        """What the intervals are, or why there are none, in sentences."""
        rates = self.of.values()
        some = any(rate.low is not None for rate in rates)
        what = "if other accounts of the same kind had been looked at" if self.way != CORRECTED else ""
        found = [f"In brackets: the 95 % interval{f' {what}' if what else ''}"] if some else []
        whys = dict.fromkeys(rate.why_none for rate in rates if rate.why_none)
        found += [why for why in whys if not (some and why == NO_VARIANCE)]
        if some and (few := few_accounts(self.accounts)):
            found.append(few)
        return [f"{line[0].upper()}{line[1:]}." for line in found]


def led_rates(report: Report) -> LedRates | None:
    """The rates that the report leads with; None where no video has a result."""
    people = next((one for one in report.rates if one.is_human and _labels(report, one)), None)
    system = next((one for one in report.rates if not one.is_human and _labels(report, one)), None)
    if people and (system is None or all(line.annotated == line.videos for line in _labels(report, system))):
        return _led(report, people, ANNOTATED)
    if system is None:
        return None
    can_correct = any(line.corrected is not None for line in _labels(report, system))
    return _led(report, system, CORRECTED if can_correct else RAW)


def _labels(report: Report, rates: SystemRates) -> list[RateLine]:
    return [line for line in rates.lines if line.what in report.labels and line.rate is not None]


def _led(report: Report, rates: SystemRates, way: str) -> LedRates:
    lines = _labels(report, rates)
    if way == CORRECTED:
        of = {
            line.what: LedRate(
                line.what, line.corrected, line.corrected_low, line.corrected_high, line.why_none_corrected
            )
            for line in lines
            if line.corrected is not None
        }
    else:
        of = {line.what: LedRate(line.what, line.rate, line.low, line.high, line.why_none) for line in lines}
    annotated = max(line.annotated for line in lines)
    name = ANNOTATIONS if rates.is_human else rates.system
    return LedRates(name, way, lines[0].videos, annotated, lines[0].clusters, of, rates.teacher)


def top_rates(report: Report, rates: LedRates, stance: str) -> list[LedRate]:
    """The label of a stance that is given most often, or those that are given equally often; none where none is."""
    own = [rates.of[label] for label in _of_stance(report, stance) if label in rates.of]
    most = max((rate.share for rate in own), default=0.0)
    return [rate for rate in own if rate.share >= most - _TIE] if most > _TIE else []


def _of_stance(report: Report, stance: str) -> Sequence[str]:
    half = len(report.labels) // 2
    return report.labels[:half] if stance == ENDORSED else report.labels[half:]


Part = dict[str, Any]  # `text`, with `link` and `stance` where it names a value


def answer_sentence(report: Report, rates: LedRates | None, links: VideoLinks) -> list[Part]:
    """One sentence on what the videos endorse and confront most often, in parts; a value is a part of its own."""
    if rates is None:
        return [_words("No video has a result yet.")]
    videos = f"{rates.videos:,} video{'s' * (rates.videos != 1)}"
    if len(report.labels) == 2:
        return [_words(f"Of {videos}, "), *_only_value(report, rates, links)]
    parts = [_words(f"In {videos} ")]
    parts += _clause(report, rates, ENDORSED, links)
    parts.append(_words("; "))
    parts += _clause(report, rates, CONFRONTED, links)
    return [*parts, _words(".")]


def _clause(report: Report, rates: LedRates, stance: str, links: VideoLinks) -> Iterable[Part]:
    """What is endorsed, or confronted, most often."""
    if not any(label in rates.of for label in _of_stance(report, stance)):
        return [_words(f"{_unknown(rates)} what they {'endorse' if stance == ENDORSED else 'confront'}")]
    top = top_rates(report, rates, stance)
    value = " value" if stance == ENDORSED else ""
    if not top:
        return [_words(f"no value is {stance}" if value else f"none is {stance}")]
    each = (
        top[0].text if len({rate.text for rate in top}) == 1 else percent(top[0].share).replace(" ", "\u00a0")
    )
    if len(top) > MOST_TIED:
        return [_words(f"the most {stance} are {len(top)} values, equally often: in {each}")]
    many = len(top) > 1
    parts = [_words(f"the most {stance}{value}{'s' * bool(value and many)} {'are' if many else 'is'} ")]
    for place, rate in enumerate(top):
        if place:
            parts.append(_words(" and " if place == len(top) - 1 else ", "))
        parts.append(_value(report, rate.label, stance, links.label(rates.system, rate.label)))
    return [*parts, _words(f", in {each}{' each' if many else ''}")]


def _only_value(report: Report, rates: LedRates, links: VideoLinks) -> Iterable[Part]:
    """The sentence of a codebook of one value, from its shares on."""
    endorsed, confronted = (rates.of.get(label) for label in report.labels)
    share = [one.text if one else None for one in (endorsed, confronted)]
    value = _value(report, report.labels[0], ENDORSED, links.label(rates.system, report.labels[0]))
    parts = [_words(f"{share[0]} endorse " if share[0] else "an unknown share endorse "), value]
    return [
        *parts,
        _words(f" and {share[1]} confront it." if share[1] else "; it is not known who confronts it."),
    ]


def _unknown(rates: LedRates) -> str:
    return (
        "too few are annotated to correct" if rates.way == CORRECTED else "nothing was looked for that tells"
    )


def _words(text: str) -> Part:
    return {"text": text, "link": None, "stance": None}


def _value(report: Report, label: str, stance: str, link: VideoLink | None) -> Part:
    title = report.titles.get(label[:-1], label[:-1])
    return {"text": title.lower() if title in _ORDINARY else title, "link": link, "stance": stance}
