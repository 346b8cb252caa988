"""The labels of all videos of a study by one system or annotator, as arrays: read column by column, for millions.

Shape letters: N videos with a result, n of them annotated, V values, L = 2V labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tikval.codebook import Codebook, load_codebook
from tikval.config import CatalogConfig, ExtractConfig, PredictConfig, TuneConfig, UserError, find_file
from tikval.evaluate.batches import BatchLabels, BatchRecord, labels_of_batches, read_batches
from tikval.evaluate.development import without_development
from tikval.evaluate.judgements import judgements_of, rows_of_listed, scores_of_videos
from tikval.evaluate.video_groups import account_codes
from tikval.files import read_bytes
from tikval.rows import LabelRow
from tikval.sources.posts import read_videos_with_posts
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.folds import PARTS, from_json
from tikval.store.folder import Folder
from tikval.store.row_keys import contains, keys_of
from tikval.store.runs import Study, system_config
from tikval.store.teacher import folder_in_study, teacher_answers
from tikval.values import binary

ANNOTATIONS: Final = "annotations"  # in the place of a system's name: the annotator's own labels
TRAINED_ON: Final = "trained on"
NOT_ANNOTATED: Final = "not annotated, so that nothing is said of them"
_COLUMNS: Final = ("video_id", "row_key", "account", "genre", "posted_at", "error")


@dataclass(frozen=True)
class SystemCorpus:
    system: str
    codebook: Codebook
    predicted: NDArray[Any]  # [N, L] 0 or 1, or a share where a system judged a video several times
    modelled: Bools  # [L]
    videos: (
        pa.Table
    )  # [N] video_id, account, genre, posted_at, and other columns of VideoRow or PostRow that were asked for
    labelled: Ints  # [n] places in N of the annotated videos
    truth: Bools  # [n, L]
    probability: Floats  # [n] that each annotated video was drawn; nan: not known
    annotated_by: str  # how they were chosen, as the catalog's configuration says
    left_out: dict[str, int]  # videos of the catalog without a usable result, by reason
    notes: list[str] = field(default_factory=list)
    not_annotated: tuple[
        int, ...
    ] = ()  # places in L of labels that nobody looked for: `truth` tells nothing of them
    scores: Floats | None = None  # [N, L] nan where the system gives none; None: not read
    batches: BatchLabels | None = None  # how labels weigh that batches drew; None: there were no batches
    teacher: str | None = None  # whose answers to its random sample are `truth`, in the place of annotations
    # rates of the scores are corrected, and not of decisions: of a system that learnt from `truth`, whose scores of
    # other videos are on average what those out of fold are
    corrects_scores: bool = False

    @property
    def known_scores(self) -> Floats:
        """[N, L] the scores; 0 of a label that is not modelled. Raises UserError where a video has none."""
        if self.scores is None or np.isnan(self.scores[:, self.modelled]).any():
            raise UserError(f"{self.system}: some of its results have no scores")
        return np.nan_to_num(self.scores)

    @property
    def is_human(self) -> bool:
        return self.system == ANNOTATIONS


def read_system_corpus(
    study: Study,
    system: str | None = None,
    annotator: str | None = None,
    columns: Sequence[str] = (),
    *,
    with_scores: bool = False,
) -> SystemCorpus:
    """Read the system that is named, or the only one, with further `columns` of its videos or their posts.

    The labels are those of `annotator`, else of whom the scores name; of a distilled system those of its teacher, where
    that is named as the annotator, or nobody annotated. Scores are read where they are asked for, and where batches
    were drawn by them. Raises UserError where it is unclear which one, or it is not there.
    """
    catalog = study.catalog()
    listed = read_videos_with_posts(catalog, [*_COLUMNS, *columns])
    annotations = study.annotations()
    system = system or _only(study, annotations)
    config = _distilled(study, system)
    teacher = config and config.teacher
    if config and teacher and annotator in (None, teacher.system) and (annotator or not annotations):
        folder = study.systems()[system][0]
        return _taught(_predicted(study, system, listed, [], "teacher"), folder, teacher)
    labels, whose = _labels(annotations, annotator or study.annotator())
    if system == ANNOTATIONS:
        return _human(study, listed, labels, whose)
    kept, development = without_development(labels, catalog)
    corpus = _predicted(study, system, listed, kept, _annotated_by(catalog))
    records = read_batches(study.out)
    folder, run = study.systems()[system]
    if run.stage == TuneConfig.stage and len(corpus.labelled):
        corpus = _with_learnt(corpus, folder, in_batches=bool(records))
    if development:
        corpus.notes.append(f"development sample, which corrects nothing: {development.about}")
    if (records or with_scores) and corpus.scores is None:
        corpus = replace(corpus, scores=scores_of_videos(folder, corpus.videos, len(corpus.codebook.labels)))
    return with_batches(corpus, records) if records else corpus


def codebook_given(study: Study) -> Codebook:
    """The picked codebook or, where nothing is over any yet, the one that the catalog was given."""
    if study.label_set:
        return study.codebook()
    file = CatalogConfig.model_validate(study.catalog().finished().config).codebook
    try:
        return load_codebook(find_file(file))
    except ValueError as err:
        raise UserError(str(err)) from err


def read_unjudged_corpus(
    study: Study, annotator: str | None = None, columns: Sequence[str] = ()
) -> SystemCorpus:
    """All videos without a failure, and their labels, where no system has judged any."""
    catalog = study.catalog()
    listed = read_videos_with_posts(catalog, [*_COLUMNS, *columns])
    videos = listed.filter(listed["error"].is_null())
    labels, _ = _labels(study.annotations(), annotator or study.annotator())
    labels, _ = without_development(labels, catalog)
    codebook, notes = codebook_given(study), list[str]()
    n_labels = len(codebook.labels)
    corpus = SystemCorpus(
        "",
        codebook,
        np.zeros((videos.num_rows, n_labels), np.uint8),
        np.zeros(n_labels, bool),
        videos,
        *_truth(videos, labels, n_labels),
        _annotated_by(catalog),
        {},
        notes,
        _not_annotated(labels, codebook, notes),
    )
    return with_batches(corpus, read_batches(study.out))


def with_batches(corpus: SystemCorpus, records: Sequence[BatchRecord]) -> SystemCorpus:
    """The corpus with how its labels weigh by the records of batches; without any, by the sample before them."""
    account_N, _ = account_codes(corpus.videos)
    by, probability = corpus.annotated_by, corpus.probability
    found = labels_of_batches(
        records,
        corpus.videos["video_id"],
        corpus.labelled,
        np.full(len(probability), np.nan) if by == "accounts" else probability,
        account_N,
        at_random=by == "random" and bool(np.isnan(probability).all()),
    )
    return replace(corpus, batches=found)


def _annotated_by(catalog: Folder) -> str:
    return str(catalog.finished().config.get("annotated_by", "unknown"))


def _predicted(
    study: Study, system: str, listed: pa.Table, labels: list[LabelRow], annotated_by: str
) -> SystemCorpus:
    """A system's predictions for listed videos that it was not trained on, with the truth where there is any."""
    systems = study.systems()
    if system not in systems:
        raise UserError(f"{study.out}: no system {system}; there are {', '.join(sorted(systems)) or 'none'}")
    folder, run = systems[system]
    config = system_config(run)
    codebook = load_codebook(find_file(config.codebook))
    place_N, predicted_NL, modelled, times, out = judgements_of(folder, listed, codebook, system)
    notes: list[str] = []
    if times > 1:
        notes.append(f"{system} judged videos {times} times; shares are means over its predictions")
    videos = listed.take(pa.array(place_N))
    if isinstance(config, PredictConfig):
        held_N = _held_out(config, videos)
        if held_N is None:
            labels = []
            notes.append(f"which videos {system} was trained on is not known any more: nothing is corrected")
        elif n_trained := int((~held_N).sum()):
            out[TRAINED_ON] = n_trained
            videos, predicted_NL = videos.filter(pa.array(held_N)), predicted_NL[held_N]
    if labels and not _is_over(codebook, labels):
        notes.append(f"the annotations are of {labels[0]['label_set']}, {system} of {codebook.label_set}")
        labels = []
    annotated = _truth(videos, labels, len(codebook.labels))
    silent = _not_annotated(labels, codebook, notes)
    left_out = dict(out.most_common())
    return SystemCorpus(
        system, codebook, predicted_NL, modelled, videos, *annotated, annotated_by, left_out, notes, silent
    )


def _not_annotated(labels: list[LabelRow], codebook: Codebook, notes: list[str]) -> tuple[int, ...]:
    """Places of the labels of values that these annotations do not have; a note names the values."""
    known = np.array([[code is not None for code in row["stances"]] for row in labels], bool)
    silent = np.flatnonzero(~known.all(0)).tolist() if labels else []
    if silent:
        names = ", ".join(codebook.slugs[v] for v in silent)
        notes.append(f"{NOT_ANNOTATED}: {names}")
    return (*silent, *(v + len(codebook.slugs) for v in silent))


def _is_over(codebook: Codebook, labels: list[LabelRow]) -> bool:
    """Whether annotations are over the labels of a codebook."""
    n_labels = 2 * len(labels[0]["stances"])
    return labels[0]["label_set"] == codebook.label_set and n_labels == len(codebook.labels)


def _human(study: Study, listed: pa.Table, labels: list[LabelRow], whose: str) -> SystemCorpus:
    """The annotator's labels, with or without videos: what was annotated counts even where no file is there."""
    if not labels:
        raise UserError(
            f"{study.catalog().uri}: has no annotations; name them in the catalog's configuration"
        )
    codebook = study.codebook()
    known = listed.filter(listed["error"].is_null())
    ids = pa.array([row["video_id"] for row in labels], pa.string())
    posts = known.take(pc.index_in(ids, known["video_id"]))  # nulls where no usable file is there
    named = pa.array([row["account"] for row in labels], pa.string())
    videos = posts.set_column(0, "video_id", ids)
    videos = _set(videos, "account", pc.coalesce(posts["account"], named))
    truth = np.array([binary(row["stances"]) for row in labels], bool).astype(np.uint8)
    notes = [f"labels of {whose}; {posts['row_key'].null_count} of these videos have no usable file"]
    none = np.empty(0, np.int64), np.empty((0, truth.shape[1]), bool), np.empty(0)
    known = ~np.isin(np.arange(truth.shape[1]), _not_annotated(labels, codebook, notes))
    if any(row["probability"] is not None for row in labels):
        notes.append("shares of the annotated videos, not weighted by the probabilities they were drawn with")
    how = _annotated_by(study.catalog())
    return SystemCorpus(ANNOTATIONS, codebook, truth, known, videos, *none, how, {}, notes)


def _distilled(study: Study, system: str) -> TuneConfig | None:
    """The configuration of a system that learnt from a teacher; None: it did not, or is not there."""
    found = study.systems().get(system)
    if found is None or found[1].config.get("teacher") is None:
        return None
    config = system_config(found[1])
    return config if isinstance(config, TuneConfig) else None


def _taught(corpus: SystemCorpus, folder: Folder, teacher: ExtractConfig) -> SystemCorpus:
    """The corpus with the answers that were learnt from in the place of annotations: these videos have a fold."""
    rows, at_R = rows_of_listed(folder, corpus.videos, "fold")
    at = at_R[np.asarray(rows["fold"].is_valid().to_numpy(), bool)]
    keys = keys_of(corpus.videos["row_key"])[at]
    order = np.argsort(keys)
    answers = teacher_answers(folder_in_study(folder, teacher), keys[order])
    there = contains(answers.keys, keys[order])
    at = at[order][there]
    return replace(
        corpus,
        labelled=at,
        truth=answers.decisions.reshape(len(at), len(corpus.codebook.labels)),
        probability=np.full(len(at), np.nan),
        teacher=teacher.system,
        scores=scores_of_videos(folder, corpus.videos, len(corpus.codebook.labels)),
        corrects_scores=True,
    )


def _with_learnt(corpus: SystemCorpus, folder: Folder, *, in_batches: bool) -> SystemCorpus:
    """A tuned system's corpus with scores that its labels can correct, or without the labels."""
    learnt = [row for row in folder.read_side_table("labelled") if row.get("rate_scores")]
    if corpus.annotated_by != "random" or in_batches or not learnt:
        note = (
            f"{corpus.system} learnt from these labels, which correct it only where videos were drawn at random at "
            "once (--annotated-by random): name another system"
        )
        none = corpus.labelled[:0], corpus.truth[:0], corpus.probability[:0]
        return replace(
            corpus, labelled=none[0], truth=none[1], probability=none[2], notes=[*corpus.notes, note]
        )
    scores = scores_of_videos(folder, corpus.videos, len(corpus.codebook.labels))
    place = {key: n for n, key in enumerate(corpus.videos["row_key"].to_pylist())}
    for row in learnt:
        if row["row_key"] in place:
            scores[place[row["row_key"]]] = row["rate_scores"]
    return replace(corpus, scores=scores, corrects_scores=True)


def _only(study: Study, labels: list[LabelRow]) -> str:
    names = sorted(name for name, (_, run) in study.systems().items() if not run.is_partial)
    if len(names) == 1:
        return names[0]
    if not names and labels:
        return ANNOTATIONS
    if not names:
        raise UserError(f"{study.out}: no system has finished yet, and there are no annotations")
    raise UserError(f"{study.out}: holds several systems; name one with --system: {', '.join(names)}")


def _labels(rows: list[LabelRow], annotator: str | None) -> tuple[list[LabelRow], str]:
    """The labels of one annotator, and who that is."""
    names = sorted({row["annotator"] for row in rows})
    if annotator is None and len(names) > 1:
        raise UserError(f"several annotators; name one with --annotator: {', '.join(names)}")
    if annotator is not None and annotator not in names:
        raise UserError(f"no annotator {annotator}; there are {', '.join(names) or 'none'}")
    whose = annotator or (names[0] if names else "")
    return [row for row in rows if row["annotator"] == whose], whose


def _held_out(config: PredictConfig, videos: pa.Table) -> Bools | None:
    """[N] videos that the system was not trained on; None where that is not known."""
    folds = read_bytes(f"{config.trained.folder}/folds.json")
    if folds is None:  # erased with the rows that it named
        return None
    trained = {name for fold in from_json(folds.decode()) for part in PARTS for name in getattr(fold, part)}
    seen = pc.is_in(videos["video_id"], pa.array(sorted(trained), pa.string()))
    return ~np.asarray(seen.to_numpy(), bool)


def _truth(videos: pa.Table, labels: list[LabelRow], n_labels: int) -> tuple[Ints, Bools, Floats]:
    """Places [n] of the annotated videos, what is true of them [n, L], and the probability of each [n]."""
    if not labels:
        return np.empty(0, np.int64), np.empty((0, n_labels), bool), np.empty(0)
    ids = pa.array([row["video_id"] for row in labels], pa.string())
    place = pc.index_in(ids, videos["video_id"])
    here = np.asarray(place.is_valid().to_numpy(zero_copy_only=False), bool)
    at = np.asarray(place.drop_null().to_numpy(zero_copy_only=False), np.int64)
    kept = [row for row, there in zip(labels, here, strict=True) if there]
    truth = np.array([binary(row["stances"]) for row in kept], bool).reshape(len(kept), n_labels)
    return at, truth, np.array([row["probability"] for row in kept], np.float64)


def _set(videos: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return videos.set_column(videos.schema.get_field_index(name), name, values)
