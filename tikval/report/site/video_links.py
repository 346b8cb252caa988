"""Links to the videos behind a number: the list of videos with its form filled in, and how many it will show.

A link stands only where the list has a video; what it counts are the videos that have a page, as the list does.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from tikval.evaluate.corpus import ANNOTATIONS
from tikval.report.site.record import Card, Report
from tikval.report.site.texts import clean_text
from tikval.values import CONFRONTED, ENDORSED, binary

PEOPLE: Final = "people"
AGREES: Final = "agrees"
FAILED: Final = "failed"


class VideoLink(NamedTuple):
    href: str
    videos: int  # that the list shows


def list_address(**form: str | None) -> str:
    """The address of the list of videos with these fields of its form filled in, as browse.js reads it."""
    filled = {name: str(clean_text(text)) for name, text in form.items() if text}
    return f"videos.html#{urlencode(filled, quote_via=quote)}"


def form_voice(system: str) -> str:
    """What the form's field `who` calls a system, or the annotators."""
    return PEOPLE if system == ANNOTATIONS else f"system {system}"


class VideoLinks:
    """The links of one report: a pass over its cards counts what they will show."""

    def __init__(self, report: Report) -> None:
        self._labels, self._half = report.labels, len(report.labels) // 2
        self._of_label: Counter[tuple[str, int]] = Counter()
        self._of_value: Counter[tuple[str, int]] = Counter()
        self._of_stance: Counter[tuple[str, bool]] = Counter()
        self._of_account: Counter[tuple[str, str, int]] = Counter()
        self._hits: Counter[tuple[str, int]] = Counter()
        self._failed = Counter(card.account for card in report.cards if _has_failed(card))
        self._genres = Counter(card.genre for card in report.cards)
        self._accounts = Counter(card.account for card in report.cards)
        for card in report.cards:
            self._count(card)

    def _count(self, card: Card) -> None:
        answers = dict(_answers(card))
        annotated = answers.get(PEOPLE, ())
        for voice, places in answers.items():
            self._of_label.update((voice, place) for place in places)
            self._of_value.update((voice, v) for v in {at % self._half for at in places})
            self._of_stance.update((voice, is_endorsed) for is_endorsed in {at < self._half for at in places})
            if card.account:
                self._of_account.update((voice, card.account, place) for place in places)
            if voice != PEOPLE:
                self._hits.update((voice, place) for place in places if place in annotated)

    def label(self, system: str, label: str) -> VideoLink | None:
        """The videos that a system, or the annotators, give a label."""
        place, voice = self._labels.index(label), form_voice(system)
        return self._link(self._of_label[voice, place], who=voice, **self._fields(place))

    def value(self, system: str, v: int) -> VideoLink | None:
        """The videos that a system, or the annotators, give a value, endorsed or confronted."""
        voice = form_voice(system)
        return self._link(self._of_value[voice, v], who=voice, value=self._labels[v][:-1])

    def hits(self, system: str, label: str) -> VideoLink | None:
        """The videos that both a system and the annotators give a label."""
        place, voice = self._labels.index(label), form_voice(system)
        return self._link(self._hits[voice, place], who=voice, agree=AGREES, **self._fields(place))

    def stance(self, system: str, stance: str) -> VideoLink | None:
        """The videos in which a system, or the annotators, find any value of a stance."""
        voice = form_voice(system)
        return self._link(self._of_stance[voice, stance == ENDORSED], who=voice, stance=stance)

    def label_of_account(self, system: str, label: str, account: str | None, name: str) -> VideoLink | None:
        """The same of one account's videos; `name`: what the site calls it."""
        if account is None or label not in self._labels:
            return None
        place, voice = self._labels.index(label), form_voice(system)
        number = self._of_account[voice, account, place]
        return self._link(number, who=voice, account=name, **self._fields(place))

    def account(self, account: str | None, name: str) -> VideoLink | None:
        return self._link(self._accounts[account] if account else 0, account=name)

    def failed_of_account(self, account: str | None, name: str) -> VideoLink | None:
        """The videos of an account that failed in any stage."""
        return self._link(self._failed[account] if account else 0, account=name, result=FAILED)

    def genre(self, genre: str | None) -> VideoLink | None:
        return self._link(self._genres[genre] if genre else 0, genre=genre)

    def _fields(self, place: int) -> dict[str, str]:
        value = self._labels[place % self._half][:-1]
        return {"value": value, "stance": ENDORSED if place < self._half else CONFRONTED}

    def _link(self, videos: int, **form: str | None) -> VideoLink | None:
        return VideoLink(list_address(**form), videos) if videos else None


def _has_failed(card: Card) -> bool:
    return bool(card.failures) or any(row["error"] or row["decisions"] is None for row in card.predictions)


def _answers(card: Card) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield (voice, places of the labels that it gives) of everybody who judged a video."""
    if card.annotated is not None:
        yield PEOPLE, [place for place, true in enumerate(binary(card.annotated)) if true]
    for row in card.predictions:
        if row["error"] is None and row["decisions"] is not None:
            yield f"system {row['system']}", [at for at, decided in enumerate(row["decisions"]) if decided]
