"""What a distillation came to: what was paid, what the small system loses against its teacher, and the rates by both.

The teacher's answers take the place of the truth, so all of this says how near the small system comes to the teacher,
and nothing of how right the teacher is. On the sample the small system's answers are those out of fold.

Shape letters: n videos of the sample with an answer, L labels that the small system models, G accounts.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

import numpy as np
from pydantic import TypeAdapter, ValidationError

from tikval.config import UserError
from tikval.evaluate.corpus import SystemCorpus, read_system_corpus
from tikval.evaluate.prevalence import prevalence_in
from tikval.evaluate.video_groups import account_codes
from tikval.files import read_bytes, write_bytes
from tikval.stats.arrays import Bools
from tikval.stats.intervals import Estimate, account_counts, by_group, mean_f1_estimate, ratio_estimate
from tikval.stats.limits import counted
from tikval.stats.prevalence import RateLine
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import Study
from tikval.store.teacher import TeacherAnswers

FILE: Final = "distill.json"  # in the small system's folder


@dataclass(frozen=True)
class WithEnds:
    """A figure and the ends of its 95 % interval over accounts; None: there is none."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def text(self) -> str:
        if self.value is None:
            return "-"
        ends = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.value:.2f}{ends}"


@dataclass(frozen=True)
class ThreeRates:
    """How often one label is given, in three ways; the last two are estimates of the teacher's rate in all videos."""

    label: str
    small: float  # by the small system in all videos, as it is
    corrected: WithEnds  # the same, corrected by the sample
    alone: WithEnds  # by the teacher in the sample


@dataclass(frozen=True)
class Distilled:
    small: str
    teacher: str
    videos: int  # that the small system judged
    drawn: int
    answered: int
    failed: dict[str, int]  # drawn, and without an answer of the teacher, by reason
    usd: float | None  # paid for the sample; None: nothing has a price
    seconds_of_teacher: float | None  # for a video, by the clock; None: not known
    seconds_of_small: float | None
    loss: dict[str, WithEnds]  # precision, recall, F1 over all labels together, and macro F1
    predict_all: dict[str, float]  # the same of giving every label to every video
    rates: tuple[ThreeRates, ...]

    @classmethod
    def read(cls, folder: Folder) -> Self | None:
        """What lies in a small system's folder; None where it is not distilled. Raises UserError for another text."""
        data = read_bytes(f"{folder.uri}/{FILE}")
        if data is None:
            return None
        try:
            return TypeAdapter(cls).validate_json(data)
        except ValidationError as err:
            raise UserError(f"{folder.uri}/{FILE}: not what tikval wrote there") from err

    def write(self, folder: Folder) -> None:
        write_bytes(f"{folder.uri}/{FILE}", json.dumps(asdict(self), indent=2).encode())

    def sentences(self) -> Iterator[str]:
        """Sample, price and loss, a sentence each."""
        failed = (
            f" ({', '.join(f'{reason} {n}' for reason, n in self.failed.items())})" if self.failed else ""
        )
        yield (
            f"{self.teacher} answered {self.answered:,} of {counted(self.drawn, 'video')} drawn at random of "
            f"{self.videos:,}{failed}; {self.small} learnt from these answers and judged all"
        )
        yield self._price()
        loss = ", ".join(f"{name} {figure.text}" for name, figure in self.loss.items())
        everything = ", ".join(f"{name} {value:.2f}" for name, value in self.predict_all.items())
        yield f"against {self.teacher}, out of fold: {loss}; giving every label: {everything}"

    def _price(self) -> str:
        times = self.videos / max(1, self.drawn)
        if self.usd is not None:
            return f"paid {self.usd:,.2f} USD; about {self.usd * times:,.2f} USD for all videos by {self.teacher}"
        if self.seconds_of_teacher is None or self.seconds_of_small is None:
            return "paid nothing; how long each of them takes is not known"
        all_by_teacher = self.videos * self.seconds_of_teacher
        done = self.drawn * self.seconds_of_teacher + self.videos * self.seconds_of_small
        return (
            f"paid nothing; about {done / 3600:.2g} hours, and {all_by_teacher / 3600:.2g} for all videos by "
            f"{self.teacher}"
        )


def distilled_of(study: Study, system: str, answers: TeacherAnswers, teacher: FolderRun) -> Distilled:
    """The figures of one distilled system. Raises UserError where it has no teacher, or no result."""
    corpus = read_system_corpus(study, system, teacher.config["system"])
    if not len(corpus.labelled):
        raise UserError(f"{system}: nothing tells how near it comes to {teacher.config['system']}")
    run = study.systems()[system][1]
    loss, everything = _loss(corpus)
    return Distilled(
        small=system,
        teacher=teacher.config["system"],
        videos=corpus.videos.num_rows,
        drawn=len(answers.keys) + sum(answers.failed.values()),
        answered=len(answers.keys),
        failed=answers.failed,
        usd=answers.usd,
        seconds_of_teacher=_seconds(teacher),
        seconds_of_small=_seconds(run),
        loss=loss,
        predict_all=everything,
        rates=tuple(_rates(corpus)),
    )


def _seconds(run: FolderRun) -> float | None:
    return run.seconds / run.computed if run.computed else None


def _loss(corpus: SystemCorpus) -> tuple[dict[str, WithEnds], dict[str, float]]:
    """Scores of the small system against the teacher's answers, and those of giving every label."""
    at = corpus.labelled
    true_nL = corpus.truth[:, corpus.modelled]
    group_n = np.unique(account_codes(corpus.videos)[0][at], return_inverse=True)[1]
    found = _scores(true_nL, corpus.predicted[at][:, corpus.modelled] >= 0.5, group_n)
    everything = _scores(true_nL, np.ones_like(true_nL), group_n)
    known = {name: each.value for name, each in everything.items()}
    return {name: _with_ends(each) for name, each in found.items()}, known


def _scores(true_nL: Bools, predicted_nL: Bools, group_n: Any) -> dict[str, Estimate]:
    groups = int(group_n.max()) + 1
    counts = account_counts(true_nL, predicted_nL, group_n, groups)
    sizes_G = by_group(np.ones((len(group_n), 1)), group_n, groups)[:, 0]
    hits_G, predicted_G, support_G = (column.sum(1) for column in counts)
    return {
        "precision": ratio_estimate(hits_G, predicted_G, sizes_G),
        "recall": ratio_estimate(hits_G, support_G, sizes_G),
        "F1": ratio_estimate(2 * hits_G, predicted_G + support_G, sizes_G),
        "macro F1": mean_f1_estimate(counts, sizes_G, "macro"),
    }


def _with_ends(estimate: Estimate) -> WithEnds:
    low, high, *_ = estimate.of_score()
    return WithEnds(None if np.isnan(estimate.value) else float(estimate.value), low, high)


def _rates(corpus: SystemCorpus) -> Iterator[ThreeRates]:
    """Each label's three rates; without the small system's answers the correction is the sample alone."""
    silent = replace(corpus, scores=np.zeros(corpus.predicted.shape))
    of_sample = {line.what: line for line in prevalence_in(silent).lines}
    labels = set(corpus.codebook.labels)
    for line in prevalence_in(corpus).lines:
        if line.what in labels:
            alone = _corrected(of_sample[line.what])
            yield ThreeRates(line.what, line.rate, _corrected(line), alone)


def _corrected(line: RateLine) -> WithEnds:
    return WithEnds(line.corrected, line.corrected_low, line.corrected_high)
