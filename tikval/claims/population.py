"""The videos that claims are about: what every system that is there says of them, and the labels with their weights.

Shape letters: N videos with a result and an account, n of them labelled, L labels of the codebook.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.claims.sides import Sides, columns_of_groups, sides_of
from tikval.config import UserError
from tikval.config.claims import ClaimsConfig
from tikval.evaluate.annotated import Drawing, drawing_of, scores_of_label
from tikval.evaluate.batches import read_batches
from tikval.evaluate.corpus import SystemCorpus, read_system_corpus, with_batches
from tikval.evaluate.video_groups import account_codes
from tikval.stats.adaptive import FOLDS, recalibrated
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.limits import counted
from tikval.store.folder import Folder
from tikval.store.row_keys import keys_of
from tikval.store.runs import Study

# the stages of systems that judge every video, and not the annotated ones alone
_JUDGE_ALL: Final = ("predictions", "tuned", "cascade")
NO_LABEL: Final = "no label has come yet"
_MOST_GROUPS: Final = 100  # that scores are recalibrated within


@dataclass(frozen=True)
class LabelWeights:
    """What the labels stand for: w of φ = p + w (Y - p), and the variance over draws that each brings."""

    labelled: Ints  # [n] places in N of labels that count
    truth: Bools  # [n, L]
    weight: Floats  # [n]
    factor: Floats  # [n] of the squared residual


class KnownBefore(NamedTuple):
    """Labels that were known before: no truth of a claim, but they tell how scores are to be read."""

    corpus: SystemCorpus  # all videos
    at: Ints  # [M] places in it
    truth: Bools  # [M, L]
    sides: Mapping[str, Sides]  # [M] by claim


@dataclass(frozen=True)
class ClaimView:
    """The videos as one system's answers see them."""

    system: str
    prompt_sha: str | None
    sample: int | None
    seed: int | None
    corpus: SystemCorpus
    account: Ints  # [N]
    sides: Mapping[str, Sides]  # by claim
    labels: LabelWeights | None  # None: `why_raw`
    why_raw: str | None
    before: KnownBefore | None = None

    def expected(self, label: int) -> Floats:
        """[N] the probability of a label that its score lets expect; none knows its own video's label."""
        assert self.labels is not None
        n, at, truth = len(self.account), self.labels.labelled, self.labels.truth[:, label]
        scores, fold_N = scores_of_label(self.corpus, label), self._folds
        if self.before is not None:
            m = len(self.before.at)
            scores = np.append(scores, scores_of_label(self.before.corpus, label)[self.before.at])
            fold_N = np.append(fold_N, np.full(m, -1))  # in no fold, so in the fits of all
            at, truth = np.append(at, n + np.arange(m)), np.append(truth, self.before.truth[:, label])
        return recalibrated(scores, self._groups, fold_N, at, truth)[:n]

    @cached_property
    def _folds(self) -> Ints:
        """[N] by the order of ids: that of rows in a table decides nothing."""
        assert self.labels is not None
        rank_N = np.argsort(np.argsort(self.corpus.videos["video_id"].to_numpy(), kind="stable"))
        fold_N, at = rank_N % FOLDS, self.labels.labelled
        fold_N[at] = np.argsort(np.argsort(rank_N[at])) % FOLDS
        return fold_N

    @cached_property
    def _groups(self) -> Ints:
        """[N + M] which of the claims' groups each video is in: errors may differ between them."""
        parts = [self.sides] if self.before is None else [self.sides, self.before.sides]
        masks = dict[bytes, Bools]()
        for sides in zip(*(part.values() for part in parts), strict=True):
            for inside in (
                np.concatenate(side)
                for side in zip(*(one[:2] for one in sides), strict=True)
                if side[0] is not None
            ):
                masks[inside.tobytes()] = inside
        code = np.zeros(len(next(iter(masks.values()))), np.int64)
        for inside in masks.values():
            code = np.unique(2 * code + inside, return_inverse=True)[1]
        return code if int(code.max(initial=0)) < _MOST_GROUPS else np.zeros_like(code)


@dataclass(frozen=True)
class Population:
    views: Sequence[ClaimView]  # that of the system that decides first
    labels: tuple[str, ...]  # [L]
    notes: tuple[str, ...]

    @property
    def labelled(self) -> set[str]:
        """Ids of the videos whose labels correct the system that decides, be they a teacher's."""
        corpus = self.views[0].corpus
        return set(corpus.videos["video_id"].take(pa.array(corpus.labelled)).to_pylist())


def read_population(
    study: Study, config: ClaimsConfig, known_before: frozenset[str] = frozenset()
) -> Population:
    """Read what every system of a study says, earlier prompts of it too.

    `known_before`: videos whose labels were known when the claims were declared. They may have suggested the claims, so
    they are left out; the scores of the others are recalibrated on them, too. Raises UserError for a group that no
    video is in, and for videos in both groups.
    """
    decides = config.system or next(iter(sorted(study.systems())), None)
    if decides not in study.systems():
        raise UserError(
            f"system: no system {decides}; there are {', '.join(sorted(study.systems())) or 'none'}"
        )
    catalog, views, notes = study.catalog(), list[ClaimView](), list[str]()
    for name, folder in _runs(study, decides):
        only = Study(study.out, [catalog.uri, folder.uri])
        annotator = config.annotator or study.annotator()
        columns = ["video_id", "row_key", "posted_at", *columns_of_groups(config)]
        corpus = read_system_corpus(only, name, annotator, columns, with_scores=True)
        known_N, nobody_N = _left_out(corpus, known_before, notes if not views else [])
        sides = {claim: sides_of(claim, each, corpus.videos) for claim, each in config.claims.items()}
        kept_N = ~(known_N | nobody_N)
        if kept_N.any():
            view = _view(_narrowed(corpus, study, kept_N, known_before), name, folder)
            kept = {claim: each.of(kept_N) for claim, each in sides.items()}
            views.append(replace(view, sides=kept, before=_known(corpus, sides, known_N)))
    if not views:
        why = "; ".join(["no video is left to test these claims on", *notes])
        raise UserError(f"{study.out}: {why}")
    if teacher := views[0].corpus.teacher:
        notes.append(f"the labels are the answers of the system {teacher}, and no person's")
    others = sorted(one.system for one in study.current(study.label_set) if one.run.stage not in _JUDGE_ALL)
    if others:
        notes.append(f"judged annotated videos alone, so no way of measuring: {', '.join(others)}")
    return Population(views, views[0].corpus.codebook.labels, tuple(notes))


def _runs(study: Study, decides: str) -> Iterator[tuple[str, Folder]]:
    """Every run that judged all videos: the one that decides, the other systems, and then their earlier runs."""
    runs = [
        (run.config["system"], folder)
        for folder, run in study.runs
        if run.stage in _JUDGE_ALL
        and not run.is_partial
        and study.label_set_of(folder, run) == study.label_set
    ]
    current = {folder.uri for folder, _ in study.systems().values()}
    if decides not in {name for name, folder in runs if folder.uri in current}:
        raise UserError(f"system: {decides} has judged annotated videos alone; name one that judged all")
    yield from sorted(runs, key=lambda one: (one[1].uri not in current, one[0] != decides, one[0]))


def _left_out(corpus: SystemCorpus, known_before: frozenset[str], notes: list[str]) -> tuple[Bools, Bools]:
    """[N] twice: videos whose labels were known before, and those of nobody that is known; counted in the notes."""
    nobody_N = np.asarray(corpus.videos["account"].is_null().to_numpy(), bool)
    names = pa.array(sorted(known_before), pa.string())
    known_N = np.asarray(pc.is_in(corpus.videos["video_id"], names).to_numpy(), bool) & ~nobody_N
    for n, what in (
        (int(nobody_N.sum()), "no account, and claims are about accounts"),
        (int(known_N.sum()), "labels that were known when the claims were declared"),
    ):
        if n:
            notes.append(f"{counted(n, 'video')} with {what}: left out")
    return known_N, nobody_N


def _known(corpus: SystemCorpus, sides: Mapping[str, Sides], known_N: Bools) -> KnownBefore | None:
    inside_n = known_N[corpus.labelled]
    at = corpus.labelled[inside_n]
    if not len(at):
        return None
    return KnownBefore(
        corpus, at, corpus.truth[inside_n], {claim: each.of(at) for claim, each in sides.items()}
    )


def _narrowed(
    corpus: SystemCorpus, study: Study, keep_N: Bools, known_before: frozenset[str]
) -> SystemCorpus:
    """The corpus of some of its videos, with the batches that were not all known before."""
    if keep_N.all():
        return corpus
    kept_n = keep_N[corpus.labelled]
    narrowed = replace(
        corpus,
        predicted=corpus.predicted.only(keep_N),
        videos=corpus.videos.filter(pa.array(keep_N)),
        labelled=(np.cumsum(keep_N) - 1)[corpus.labelled[kept_n]],
        truth=corpus.truth[kept_n],
        probability=corpus.probability[kept_n],
        scores=None if corpus.scores is None else corpus.scores[keep_N],
    )
    if corpus.batches is None:
        return narrowed
    later = [
        one
        for one in read_batches(study.out)
        if not set(one.table.filter(one.table["drawn"])["video_id"].to_pylist()) <= known_before
    ]
    return with_batches(narrowed, later)


def _view(corpus: SystemCorpus, name: str, folder: Folder) -> ClaimView:
    account_N, _ = account_codes(corpus.videos)
    drawing = drawing_of(corpus, account_N)
    labels = _weights(corpus, drawing) if drawing.target else None
    rows = folder.read_listed(np.sort(keys_of(corpus.videos["row_key"])), ["prompt_sha", "sample", "seed"])
    prompt_sha, sample, seed = (_the_only(rows[column]) for column in ("prompt_sha", "sample", "seed"))
    why_raw = None if labels else drawing.how if len(corpus.labelled) else NO_LABEL
    return ClaimView(name, prompt_sha, sample, seed, corpus, account_N, {}, labels, why_raw)


def _the_only(values: pa.ChunkedArray) -> Any:
    """What all rows of a run have that have any; None where they differ."""
    found = pc.unique(values.drop_null()).to_pylist()
    return found[0] if len(found) == 1 else None


def _weights(corpus: SystemCorpus, drawing: Drawing) -> LabelWeights:
    labelled, truth = corpus.labelled[drawing.used], corpus.truth[drawing.used]
    n_videos = corpus.videos.num_rows
    if corpus.batches is not None:
        draws = corpus.batches.weights
        return LabelWeights(labelled, truth, draws.weight[labelled], draws.factor[labelled])
    even = np.full(len(labelled), len(labelled) / n_videos)
    pi = even if drawing.probability is None else drawing.probability
    scale = n_videos / (1 / pi).sum()  # Hájek: 1 on average over these videos
    return LabelWeights(labelled, truth, scale / pi, scale**2 * (1 - pi) / pi**2)
