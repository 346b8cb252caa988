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

from tikval.config import UserError
from tikval.config.claims import Claim, ClaimsConfig, Part
from tikval.evaluate.annotated import Drawing, drawing_of, scores_of_label
from tikval.evaluate.batches import read_batches
from tikval.evaluate.corpus import SystemCorpus, read_system_corpus, with_batches
from tikval.evaluate.video_groups import NAMING, account_codes, codes_by, column_of
from tikval.stats.adaptive import FOLDS, recalibrated
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.limits import counted
from tikval.store.folder import Folder
from tikval.store.row_keys import keys_of
from tikval.store.runs import Study

_JUDGE_ALL: Final = (
    "predictions"  # the stage of systems that judge every video, and not the annotated ones alone
)
NO_LABEL: Final = "no label has come yet"
_MOST_GROUPS: Final = 100  # that scores are recalibrated within


class Sides(NamedTuple):
    """Which videos a claim compares."""

    a: Bools  # [N]
    b: Bools | None  # [N]; None: a number
    within: bool  # earlier and later videos of the same accounts


@dataclass(frozen=True)
class LabelWeights:
    """What the labels stand for: w of φ = p + w (Y - p), and the variance over draws that each brings."""

    labelled: Ints  # [n] places in N of labels that count
    truth: Bools  # [n, L]
    weight: Floats  # [n]
    factor: Floats  # [n] of the squared residual


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

    def expected(self, label: int) -> Floats:
        """[N] the probability of a label that its score lets expect; none knows its own video's label."""
        assert self.labels is not None
        fold_N = np.arange(len(self.account)) % FOLDS
        fold_N[self.labels.labelled] = np.arange(len(self.labels.labelled)) % FOLDS
        scores, truth = scores_of_label(self.corpus, label), self.labels.truth[:, label]
        return recalibrated(scores, self._groups, fold_N, self.labels.labelled, truth)

    @cached_property
    def _groups(self) -> Ints:
        """[N] which of the claims' groups each video is in: errors may differ between them."""
        masks = {
            side.tobytes(): side for sides in self.sides.values() for side in sides[:2] if side is not None
        }
        code_N = np.zeros(len(self.account), np.int64)
        for inside_N in masks.values():
            code_N = np.unique(2 * code_N + inside_N, return_inverse=True)[1]
        return code_N if int(code_N.max(initial=0)) < _MOST_GROUPS else np.zeros_like(code_N)


@dataclass(frozen=True)
class Population:
    views: Sequence[ClaimView]  # that of the system that decides first
    labels: tuple[str, ...]  # [L]
    notes: tuple[str, ...]


def read_population(
    study: Study, config: ClaimsConfig, known_before: frozenset[str] = frozenset()
) -> Population:
    """Read what every system of a study says, earlier prompts of it too.

    `known_before`: videos whose labels were known when the claims were declared. They are left out: their labels may
    have suggested the claims. Raises UserError for a group that no video is in, and for videos in both groups.
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
        corpus = read_system_corpus(only, name, annotator, _columns(config), with_scores=True)
        corpus = _narrowed(corpus, study, known_before, notes if not views else [])
        if corpus.videos.num_rows == 0:
            continue
        views.append(_view(config, corpus, name, folder))
    if not views:
        why = "; ".join(["no video is left to test these claims on", *notes])
        raise UserError(f"{study.out}: {why}")
    others = sorted(one.system for one in study.current(study.label_set) if one.run.stage != _JUDGE_ALL)
    if others:
        notes.append(f"judged annotated videos alone, so no way of measuring: {', '.join(others)}")
    return Population(views, views[0].corpus.codebook.labels, tuple(notes))


def _runs(study: Study, decides: str) -> Iterator[tuple[str, Folder]]:
    """Every run that judged all videos: the one that decides, the other systems, and then their earlier runs."""
    runs = [
        (run.config["system"], folder)
        for folder, run in study.runs
        if run.stage == _JUDGE_ALL and study.label_set_of(folder, run) == study.label_set
    ]
    current = {folder.uri for folder, _ in study.systems().values()}
    if decides not in {name for name, folder in runs if folder.uri in current}:
        raise UserError(f"system: {decides} has judged annotated videos alone; name one that judged all")
    yield from sorted(runs, key=lambda one: (one[1].uri not in current, one[0] != decides, one[0]))


def _columns(config: ClaimsConfig) -> list[str]:
    parts = [part for claim in config.claims.values() for part in (claim.group, claim.against)]
    return sorted({column_of(by) for part in parts if isinstance(part, dict) for by in part})


def _narrowed(
    corpus: SystemCorpus, study: Study, known_before: frozenset[str], notes: list[str]
) -> SystemCorpus:
    """The corpus without videos of unknown accounts, and without those whose labels were known before."""
    nobody_N = np.asarray(corpus.videos["account"].is_null().to_numpy(), bool)
    known_N = np.asarray(
        pc.is_in(corpus.videos["video_id"], pa.array(sorted(known_before), pa.string())).to_numpy(), bool
    )
    for n, what in (
        (int(nobody_N.sum()), "no account, and claims are about accounts"),
        (int((known_N & ~nobody_N).sum()), "labels that were known when the claims were declared"),
    ):
        if n:
            notes.append(f"{counted(n, 'video')} with {what}: left out")
    keep_N = ~nobody_N & ~known_N
    if keep_N.all():
        return corpus
    kept_n = keep_N[corpus.labelled]
    narrowed = replace(
        corpus,
        predicted=corpus.predicted[keep_N],
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


def _view(config: ClaimsConfig, corpus: SystemCorpus, name: str, folder: Folder) -> ClaimView:
    account_N, _ = account_codes(corpus.videos)
    drawing = drawing_of(corpus, account_N)
    labels = _weights(corpus, drawing) if drawing.target else None
    rows = folder.read_listed(np.sort(keys_of(corpus.videos["row_key"])), ["prompt_sha", "sample", "seed"])
    prompt_sha, sample, seed = (_the_only(rows[column]) for column in ("prompt_sha", "sample", "seed"))
    sides = {claim: _sides(claim, each, corpus.videos) for claim, each in config.claims.items()}
    why_raw = None if labels else drawing.how if len(corpus.labelled) else NO_LABEL
    return ClaimView(name, prompt_sha, sample, seed, corpus, account_N, sides, labels, why_raw)


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


def _sides(name: str, claim: Claim, videos: pa.Table) -> Sides:
    """Raises UserError for a group that no video is in, and for videos in both."""
    group_N = _inside(f"{name}.group", claim.group, videos)
    if claim.over_time is not None:
        if videos["posted_at"].null_count == videos.num_rows:
            raise UserError(f"{name}.over_time: nothing tells when the videos were posted")
        days = videos["posted_at"].cast(pa.timestamp("us")).combine_chunks().to_numpy(zero_copy_only=False)
        early_N = days < np.datetime64(claim.over_time.before)  # not where it is not known
        return Sides(
            group_N & (days >= np.datetime64(claim.over_time.begin_of_later)), group_N & early_N, True
        )
    if not isinstance(claim.against, dict):
        return Sides(group_N, None, False)
    against_N = _inside(f"{name}.against", claim.against, videos)
    if both := int((group_N & against_N).sum()):
        raise UserError(f"{name}: {counted(both, 'video')} in both groups; name groups that share none")
    return Sides(group_N, against_N, False)


def _inside(where: str, part: Part, videos: pa.Table) -> Bools:
    inside_N = np.ones(videos.num_rows, bool)
    for by, wanted in part.items():
        code, names = codes_by(videos, by)
        values = [wanted] if isinstance(wanted, str) else wanted
        if missing := [value for value in values if value not in names]:
            there = "" if by in NAMING else f"; there are {', '.join(names[:20])}"
            raise UserError(f"{where}: no video has the {by} {missing[0]!r}{there}")
        inside_N &= np.isin(code, [names.index(value) for value in values])
    if not inside_N.any():
        raise UserError(f"{where}: no video is in it")
    return inside_N
