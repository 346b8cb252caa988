"""Which videos to code next, so that the rates of a few labels are known as closely as is wanted.

From scores and labels so far: what is known now, how many more labels it takes, whether choosing videos helps, and a
batch with known probabilities, whose record lies in the study until its labels come back.

Shape letters: N videos with a result, n of them labelled, K labels asked about.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from tikval.annotate.next_batch import GroupDraw, draw_batch
from tikval.annotate.target_state import TargetGroup, TargetLine, narrowest, target_group, target_lines
from tikval.annotate.width_target import WidthTarget, parse_width_target
from tikval.config import UserError
from tikval.evaluate.annotated import sample_of_batches
from tikval.evaluate.batches import BatchLabels, BatchRecord, read_batches
from tikval.evaluate.corpus import (
    NOT_ANNOTATED,
    SystemCorpus,
    codebook_given,
    read_system_corpus,
    read_unjudged_corpus,
    with_batches,
)
from tikval.evaluate.sample import EVERY_VIDEO, allocate
from tikval.evaluate.video_groups import UNKNOWN, account_codes, codes_by, column_of
from tikval.stats.adaptive import (
    RECALIBRATED,
    UNIFORM_AT_FIRST,
    uniform_share,
)
from tikval.stats.arrays import Ints
from tikval.stats.batch_rates import FEWEST_LABELLED, saving
from tikval.stats.limits import FEWEST_ACCOUNTS, counted
from tikval.stats.prevalence import Target
from tikval.store.runs import Study

MOST_LABELS: Final = 2  # that choosing videos helps; for more a random sample does as well
WORTH_IT: Final = 0.1  # of the labels that choosing has to save


@dataclass(frozen=True)
class NextVideos:
    target: WidthTarget
    of: Target
    lines: list[TargetLine]
    sentences: list[str]
    record: BatchRecord | None  # of the batch whose videos are to be labelled now; None: there is none
    is_new: bool = False  # the record is not in the study yet


class _VideoGroups(NamedTuple):
    names: list[str]
    of: Ints  # [N]


def next_videos(
    study: Study,
    target_text: str,
    n: int,
    *,
    system: str | None = None,
    annotator: str | None = None,
    of: Target = "corpus",
    seed: int = 0,
) -> NextVideos:
    """What is known of the target, what it still takes, and the batch to label now: the one that waits, or a new one.

    Raises UserError for a target that is none, and for labels that are not coded in every labelled video.
    """
    corpus, target = _corpus(study, target_text, system, annotator)
    assert corpus.batches is not None
    records, batches = read_batches(study.out), corpus.batches
    account_N, _ = account_codes(corpus.videos)
    groups = _groups_of(corpus, target.by)
    at = [corpus.codebook.labels.index(label) for label in target.labels]
    sample = sample_of_batches(corpus, batches, at, groups.of, account_N)
    labelled_N = np.isin(np.arange(len(groups.of)), corpus.labelled)
    between = of == "accounts"
    found = [
        target_group(
            name, sample.inside(groups.of == g), np.flatnonzero((groups.of == g) & ~labelled_N), target, of
        )
        for g, name in enumerate(groups.names)
    ]
    uniform, why_uniform = _uniform(corpus, target, found, n)
    sizes = _sizes(found, n, target) if not batches.open else {}
    lines = [
        line
        for group in found
        for line in target_lines(group, target, sizes.get(group.name, 0), uniform, between, batches.is_usable)
    ]
    sentences = [*_so_far(corpus, batches), *_states(found, lines, target), *_others(corpus)]
    if batches.open:
        waiting = batches.open[0]
        sentences.append(_waiting(waiting, corpus))
        return NextVideos(target, of, lines, sentences, waiting)
    if not sizes:
        return NextVideos(target, of, lines, sentences, None)
    number = max((one.number for one in records), default=0) + 1
    draws = [
        GroupDraw(
            group.name,
            groups.of == g,
            group.unlabelled,
            sample.p[group.unlabelled],
            sizes.get(group.name, 0),
        )
        for g, group in enumerate(found)
    ]
    table = draw_batch(corpus.videos["video_id"], draws, labelled_N, uniform, seed, number)
    about = {"target": str(target), "of": of, "seed": seed, "uniform": uniform, "system": corpus.system}
    return NextVideos(
        target, of, lines, [*sentences, why_uniform], BatchRecord(number, about, table), is_new=True
    )


def _corpus(
    study: Study, target_text: str, system: str | None, annotator: str | None
) -> tuple[SystemCorpus, WidthTarget]:
    """The system's corpus with scores, or that of all videos where there is no system; and the target in it."""
    systems = study.systems()
    target = parse_width_target(target_text, codebook_given(study).labels)
    columns = [] if target.by is None else [column_of(target.by)]
    if systems:
        corpus = read_system_corpus(study, system, annotator, ["video_id", *columns], with_scores=True)
    else:
        corpus = read_unjudged_corpus(study, annotator, columns)
    if not corpus.videos.num_rows:
        raise UserError(f"{study.out}: no video that can be drawn")
    if corpus.batches is None:
        corpus = with_batches(corpus, [])
    silent = {corpus.codebook.labels[k] for k in corpus.not_annotated} & set(target.labels)
    if silent and len(corpus.labelled):
        raise UserError(
            f"{', '.join(sorted(silent))}: some labelled videos have no stance of it; have them decided first"
        )
    return corpus, target


def _groups_of(corpus: SystemCorpus, by: str | None) -> _VideoGroups:
    if by is None:
        return _VideoGroups([EVERY_VIDEO], np.zeros(corpus.videos.num_rows, np.int64))
    code, names = codes_by(corpus.videos, by)
    if (code < 0).any():
        names, code = [*names, UNKNOWN], np.where(code < 0, len(names), code)
    return _VideoGroups(names, code)


def _uniform(
    corpus: SystemCorpus, target: WidthTarget, found: list[TargetGroup], n: int
) -> tuple[float, str]:
    """How much of the batch is spread evenly, and why."""
    if not len(corpus.labelled):
        return 1.0, "no labels yet: this batch is a plain random sample"
    if not corpus.modelled[[corpus.codebook.labels.index(label) for label in target.labels]].any():
        return 1.0, "no system judges these labels: this batch is a plain random sample"
    if len(target.labels) > MOST_LABELS:
        return (
            1.0,
            f"a plain random sample does as well for {len(target.labels)} labels at once: it is drawn so",
        )
    if sum(len(group.unlabelled) for group in found if group.state == "open") <= n:
        return 1.0, "these are all the videos that are left: with their labels nothing is estimated any more"
    share = uniform_share(len(corpus.labelled))
    gains = [
        saving(group.sample, min(n, len(group.unlabelled)), share) for group in found if group.state == "open"
    ]
    if not gains or max(gains) < WORTH_IT:
        return 1.0, "a plain random sample does as well, by these scores: it is drawn so"
    even = "half" if share == UNIFORM_AT_FIRST else "a fifth"
    until = f", until {RECALIBRATED} labels have recalibrated the scores" if share == UNIFORM_AT_FIRST else ""
    return share, (
        f"drawn where the label is in doubt, {even} of the batch evenly{until}; choosing saves about "
        f"{np.mean(gains):.0%} of the labels"
    )


def _sizes(found: list[TargetGroup], n: int, target: WidthTarget) -> dict[str, int]:
    """How many videos of each group are drawn: as many of each that is not there yet."""
    open_groups = [group for group in found if group.state == "open"]
    if not open_groups:
        return {}
    if n < len(open_groups):
        raise UserError(
            f"--n {n}: fewer than the {len(open_groups)} groups by {target.by}, each of which needs one"
        )
    sizes = np.array([len(group.unlabelled) for group in open_groups])
    drawn = allocate(min(n, int(sizes.sum())), sizes, equal=True)
    return {group.name: int(m) for group, m in zip(open_groups, drawn, strict=True)}


def _so_far(corpus: SystemCorpus, batches: BatchLabels) -> list[str]:
    n = len(corpus.labelled)
    if not n:
        return []
    used = int((batches.weights.weight[corpus.labelled] > 0).sum())
    found = [f"{counted(n, 'label')} so far, of {corpus.videos.num_rows:,} videos", *batches.notes]
    if used < n and not batches.is_usable:
        found.append(
            "how they were chosen is not known, so nothing can be estimated from them alone: they recalibrate the "
            "scores, and count once a batch was drawn that knew them"
        )
    elif used < n:
        found.append(f"{n - used} of them no batch has drawn or known yet: they count from the next one on")
    late = int((batches.weights.precision == 0).sum())
    if late and batches.is_usable:
        found.append(
            f"{counted(late, 'video')} came after the last batch: until one can draw them scores speak for them"
        )
    return found


def _others(corpus: SystemCorpus) -> list[str]:
    """What else is to be known of a corpus; which labels nobody coded matters to others than those of the target."""
    return [note for note in corpus.notes if not note.startswith(NOT_ANNOTATED)]


def _states(found: list[TargetGroup], lines: list[TargetLine], target: WidthTarget) -> list[str]:
    """What is reached, what cannot be reached and why, and what is still needed."""
    out = []
    for group in found:
        accounts, name = int(group.sample.cluster.max()) + 1, f"{group.name}: "
        if group.state != "stuck":
            continue
        if accounts < FEWEST_ACCOUNTS:
            out.append(
                f"{name}{counted(accounts, 'account')}: too few for an interval, however many labels; add accounts"
            )
        else:
            out.append(
                f"{name}more labels will not help: with {counted(accounts, 'account')} the interval for accounts like "
                f"these cannot become narrower than about {narrowest(group.sample):.3f} to each side; add accounts"
            )
    if found and all(group.state == "reached" for group in found):
        out.append(f"stop: {target} is reached")
    still = [line for line in lines if line.needed]
    if still and (total := sum(_most_needed(lines, group) for group in found if group.state == "open")):
        out.append(f"about {counted(total, 'more label')} are needed; each batch tells it better")
    if any(
        min(line.having, line.labelled - line.having) < FEWEST_LABELLED for line in lines if line.labelled
    ):
        out.append(
            f"no interval is given below {FEWEST_LABELLED} labelled videos that have a label, and that lack it"
        )
    return out


def _most_needed(lines: list[TargetLine], group: TargetGroup) -> int:
    return max((line.needed or 0 for line in lines if line.group == group.name), default=0)


def _waiting(record: BatchRecord, corpus: SystemCorpus) -> str:
    drawn = record.columns(corpus.videos["video_id"])["drawn"]
    back = int(drawn[corpus.labelled].sum())
    return (
        f"batch {record.number} waits for its labels: {back} of {counted(int(drawn.sum()), 'video')} have any; "
        "nothing new is drawn before"
    )
